"""Published numbers: a table beside the scripts, found by experiment and panel."""

import csv
import importlib
import pathlib

import pytest

import envs
import experiments
from icrl import published
from icrl.experiment import EXPERIMENTS
from icrl.panels import Curves, Drawing

TABLE = pathlib.Path(experiments.__path__[0]) / "published.csv"
with TABLE.open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


def metrics_of(experiment, name):
    """Those of the panels of a name, and of the bars that are made of its rows."""
    module = importlib.import_module(EXPERIMENTS[experiment].source)
    return {
        getattr(panel, "metric", "return")
        for panel in module.PANELS
        if panel.name == name or name in getattr(panel, "groups", {})
    }


def test_a_panel_finds_its_values_by_its_name():
    script = TABLE.with_name("dpt_bandit.py")
    found = published.values(str(script), "online")
    assert list(found) == ["dpt", "thompson_sampling", "ucb", "empirical_mean"]
    assert found["dpt"][500] == 10.31 and list(found["dpt"])[:2] == [1, 10]
    assert published.values(str(script), "silent") == {}


def test_other_entries_of_a_row_are_told_from_published_values():
    script = str(TABLE.with_name("rl2_mdp_baselines.py"))
    assert published.values(script, "online")["psrl_mu0"][100] == 1939.5
    again = published.values(script, "online", "resimulated")
    assert again["psrl_mu0"][100] == 1938.2 and "rl2" not in again
    errors = published.values(script, "online", "resimulated_error")
    assert errors.keys() == again.keys()


def test_a_panel_keeps_values_of_its_own():
    own, theirs = {"dpt": {5: 1.0}}, {"dpt": {5: 2.0}}
    assert Curves(name="online").with_published(theirs).published == theirs
    assert Curves(name="online", published=own).with_published(theirs).published == own
    drawing = Drawing(name="online", function=lambda *_: None)
    assert drawing.with_published(theirs) is drawing


@pytest.mark.parametrize("experiment", sorted({row["experiment"] for row in ROWS}))
def test_every_value_is_of_a_panel_and_of_its_metric(experiment):
    """Or of a family, where the config chooses it."""
    for row in ROWS:
        if row["experiment"] == experiment and row["panel"] not in envs.names():
            assert row["metric"] in metrics_of(experiment, row["panel"]), row
            assert row["entry"] in ("published", "resimulated", "resimulated_error")


def test_a_folder_without_a_table_has_no_values(tmp_path):
    assert published.values(str(tmp_path / "mine.py"), "online") == {}


HEADER = ",".join(published.COLUMNS)
RIGHT = "mine,online,dpt,final_regret,5,1.5,published,a paper"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b"], "columns of .* must be"),
        ([HEADER, RIGHT + ",more"], "a row of .* must have"),
        ([HEADER, RIGHT.replace("a paper", "")], "a row of .* must have"),
        ([HEADER, RIGHT.replace(",5,", ",5.5,")], "a whole number as step"),
        ([HEADER, RIGHT.replace("1.5", "nan")], "a number as value"),
        ([HEADER, RIGHT, RIGHT.replace("1.5", "2")], "stand there once, got twice"),
    ],
)
def test_a_table_that_is_not_as_it_should_be_is_refused(tmp_path, lines, message):
    (tmp_path / "published.csv").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=message):
        published.values(str(tmp_path / "mine.py"), "online")


def test_a_table_of_another_package_is_read(tmp_path):
    (tmp_path / "published.csv").write_text(f"{HEADER}\n{RIGHT}\n")
    found = published.values(str(tmp_path / "mine.py"), "online")
    assert found == {"dpt": {5: 1.5}}
    assert published.values(str(tmp_path / "other.py"), "online") == {}
