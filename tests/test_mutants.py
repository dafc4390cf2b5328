"""The tool that changes code to see whether tests notice (`mutants.py`)."""

import ast
import subprocess

import mirror
import mutants
import mutations
import pytest
from mutations import Mutant

SOURCE = '''"""Adds 1 + 1."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    ONE = 1 + 1


def add(first: "int | 2", *, second: int = 3) -> "int | 4":
    """Adds 1 + 1."""
    if first < 0:
        raise ValueError(f"Δ below {0 - 0}")
    return first + second
'''


def test_every_module_has_tests_and_they_exist():
    found = mirror.mirror()
    assert found.keys() == mirror.modules().keys()
    assert set(mirror.modules().values()) == set(mirror.PACKAGES)
    for path, tests in found.items():
        assert 0 < len(tests) <= mirror.MOST, path
        for test in tests:
            file, _, rest = test.partition("::")
            function = rest.partition("[")[0]
            assert (mirror.ROOT / file).exists(), test
            assert f"def {function}" in (mirror.ROOT / file).read_text(), test


@pytest.mark.parametrize(
    ("path", "test"),
    [
        ("icrl/pretraining/examples.py", "pretraining"),  # imported from its package
        ("icrl/algorithms/mdp/q_learning.py", "tabular_policy"),  # imported itself
        ("icrl/models/mixers/softmax.py", "mixers"),  # by its registered name
        ("envs/chain.py", "envs"),  # by a walk through the registry
        ("icrl/algorithms/posteriors/quadrature.py", "posteriors"),  # by its users
    ],
)
def test_a_module_is_tied_to_tests_by_what_they_say(path, test):
    assert f"tests/test_{test}.py" in mirror.mirror()[path]


def test_the_test_of_the_same_name_comes_first():
    assert mirror.mirror()["envs/dark_room.py"][0] == "tests/test_dark_room.py"
    of_another = "tests/test_registry.py"
    assert mirror.mirror()["envs/registry.py"][0] == of_another
    assert of_another not in mirror.mirror()["icrl/algorithms/registry.py"]


LINES = {"envs": 60, "models": 30, "training": 9, "agents": 1}


def some_mutants():
    files = [f for f, name in mirror.modules().items() if name in LINES][4:]
    return [
        Mutant(file, operator, line, line, "text", f"{file} {line}", 0)
        for file in files
        for line in range(5)
        for operator in ("Add_Sub", "Add_Mul", "Add_Div")
    ]


def test_a_draw_is_by_seed_by_lines_and_by_place():
    def drawn(seed, number=20, valid=lambda mutant: True):
        return mutations.draw(some_mutants(), number, seed, LINES, valid)

    assert drawn(0) == drawn(0) != drawn(1)
    names = [mirror.modules()[mutant.file] for mutant in drawn(0)]
    assert [names.count(name) for name in LINES] == [12, 6, 2, 0]
    assert len({mutant.place for mutant in drawn(0)}) == 20
    assert len({mutant.operator for mutant in drawn(0)}) == 3
    assert set(drawn(0)) < set(drawn(0, number=40))  # a larger draw goes on
    rest = drawn(0, valid=lambda mutant: mutant.operator == "Add_Div")
    assert [m.place for m in rest] == [m.place for m in drawn(0)]
    assert {mutant.operator for mutant in rest} == {"Add_Div"}


def test_shares_add_up():
    assert mutations.shares(60, {"a": 1, "b": 1, "c": 5}) == {"a": 9, "b": 8, "c": 43}


def test_what_does_not_run_is_left_out():
    spans = list(mutations.left_out(SOURCE))
    lines = SOURCE.split("\n")
    texts = {lines[a[0] - 1][a[1] : b[1]] for a, b in spans if a[0] == b[0]}
    assert texts == {
        "from typing import TYPE_CHECKING",
        '"int | 2"',
        '"int | 4"',
        "int",
        'f"Δ below {0 - 0}"',
    }


def test_operators_change_what_runs():
    pytest.importorskip("cosmic_ray")
    items = list(mutations.work_items("icrl/keys.py", SOURCE))
    assert {item.text for item in items} == {
        'def add(first: "int | 2", *, second: int = 3) -> "int | 4":',
        "if first < 0:",
        "return first + second",
    }
    (minus,) = (m for m in items if m.operator == "ReplaceBinaryOperator_Add_Sub")
    changed = mutations.mutate(minus, SOURCE)
    assert changed == SOURCE.replace("first + second", "first - second")
    assert mutants.difference(SOURCE, changed) == "return first - second"
    for item in items:
        changed = mutations.mutate(item, SOURCE)
        assert changed is None or ast.parse(changed)


def test_what_is_not_caught_is_run_again_when_its_tests_change(monkeypatch):
    mutant = some_mutants()[0]

    def settled(outcome):
        result = mutants.key(mutant) | {"tests": "before", "outcome": outcome}
        return mutants.settled(mutant, [result])

    outcomes = "failed", "broken", "timed out", "survived", "undecided"
    assert [settled(o) for o in outcomes] == [True, True, True, False, False]
    monkeypatch.setattr(mutants, "digest", lambda *paths: "before")
    assert [settled(o) for o in outcomes] == [True, True, True, True, False]


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """Where mutants are tested: a copy of a repository of two files."""
    root = tmp_path / "repository"
    (root / "tests").mkdir(parents=True)
    (root / "one.py").write_text("ONE = 1\n")
    test = "import one\ndef test_one(): assert one.ONE == 1\n"
    (root / "tests" / "test_one.py").write_text(test)
    monkeypatch.setattr(mutants, "ROOT", root)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    return mutants.Copy(tmp_path / "work", timeout=60)


def test_a_test_that_fails_is_named(copy):
    with copy._written("one.py", "ONE = 2\n"):
        tested = copy.pytest(("tests/test_one.py",))
    assert (tested.code, tested.failed) == (1, ("tests/test_one.py::test_one",))
    assert (copy.root / "one.py").read_text() == "ONE = 1\n"


TESTS = ("tests/test_one.py",)
BROKEN, ONE = "tests/test_one.py", "tests/test_one.py::test_one"
OTHER = "tests/test_one.py::test_other"


@pytest.mark.parametrize(
    ("changed", "unchanged", "outcome", "test"),
    [
        ([(0, ())], [], "survived", ""),
        ([(1, (ONE,))], [(0, ())], "failed", ONE),
        ([(2, (BROKEN,))], [(0, ())], "broken", BROKEN),
        ([(None, ())], [(0, ())], "timed out", ""),
        ([(None, ())], [(None, ())], "undecided", ""),  # slow without it, too
        ([(1, (OTHER,)), (0, ())], [(1, (OTHER,))], "survived", ""),
        ([(1, (OTHER,)), (1, (ONE,))], [(1, (OTHER,)), (0, ())], "failed", ONE),
        ([(1, (ONE,))], [(4, ())], "undecided", ONE),
    ],
)
def test_what_fails_without_a_change_catches_nothing(
    copy, monkeypatch, changed, unchanged, outcome, test
):
    def pytest_of(names, *options):
        ours = (copy.root / "one.py").read_text() == "ONE = 1\n"
        code, failed = (unchanged if ours else changed).pop(0)
        only_imported = ours and outcome == "broken"
        assert options == (("--collect-only",) if only_imported else ())
        return mutants.Tested(code, failed, 1.0)

    monkeypatch.setattr(copy, "pytest", pytest_of)
    found = copy.judge("one.py", "ONE = 2\n", TESTS)
    assert found == {"outcome": outcome, "test": test, "seconds": 1.0}
    assert not changed and not unchanged


def test_the_report_names_what_no_test_sees(monkeypatch, capsys):
    caught, same, missed = some_mutants()[::3][:3]
    same, missed = same._replace(text="same"), missed._replace(text="missed")
    place = (same.file, same.operator, same.text)
    monkeypatch.setattr(mutants, "EQUIVALENT", {place: "it is the same"})

    def result(mutant, outcome):
        tests = mutants.digest(*mirror.mirror()[mutant.file])
        result = {"outcome": outcome, "test": "", "seconds": 1.0, "tests": tests}
        return mutants.key(mutant) | result | {"changed": "new"}

    results = [result(caught, "failed")]
    results += [result(mutant, "survived") for mutant in (same, missed)]
    assert not mutants.report([caught, same, missed], results)
    printed = capsys.readouterr().out
    for mutant, why in (
        (same, "changes nothing: it is the same"),
        (missed, "no test sees it"),
    ):
        lines = f"- {mutant.text}", "+ new", why
        said = "\n    ".join((f"survived: {mutant}", *lines))
        assert said in printed
    assert mutants.report([caught], results)
    assert not mutants.report([caught, some_mutants()[-1]], results)  # one is not run
