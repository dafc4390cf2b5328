"""The registry: names, suggestions, changes, and families of other packages."""

import pathlib
import shutil
import subprocess
import sys
import textwrap

import pytest

import envs
from envs.gaussian_bandit import GaussianBanditFamily
from envs.registry import FAMILIES

TEMPLATE = pathlib.Path(envs.__file__).with_name("template.py")


def python(program: str, *paths: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Runs a program in a fresh interpreter with `paths` on its path."""
    lines = ["import sys", *(f"sys.path.append({str(path)!r})" for path in paths)]
    program = "\n".join([*lines, textwrap.dedent(program)])
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )


def install(
    folder: pathlib.Path, name: str, source: str, entry: str = "[icrl.envs]\n{0} = {0}"
) -> None:
    """Writes a package of one module and what an installer would note of it."""
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(entry.format(name))


def test_the_papers_presets_are_registered():
    assert {
        "BernoulliBandit-Lin2023-v0",
        "GaussianBandit-DPT-v0",
        "LinearBandit-DPT-v0",
        "LinearBandit-Lin2023-v0",
    } <= set(envs.names())
    assert envs.names() == sorted(envs.names())


def test_an_unknown_name_gets_suggestions():
    with pytest.raises(ValueError, match="no family 'GausianBandit-v0'; did you mean"):
        envs.family("GausianBandit-v0")
    with pytest.raises(ValueError, match=f"there are: {', '.join(envs.names())}"):
        envs.family("???")


def test_a_changed_family_is_named_by_its_changes():
    pinned = envs.family("GaussianBandit-DPT-v0")
    assert envs.family("GaussianBandit-DPT-v0", noise_std=0.3) is pinned
    changed = envs.family("GaussianBandit-DPT-v0", num_arms=3, horizon=50)
    assert changed.name == "GaussianBandit-DPT-v0[horizon=50,num_arms=3]"
    assert (changed.num_arms, changed.horizon, changed.noise_std) == (3, 50, 0.3)
    assert envs.family("GaussianBandit-DPT-v0") == pinned


def test_an_unknown_field_is_refused_whatever_its_value():
    for value in (5, None):
        with pytest.raises(ValueError, match="BanditFamily has no field 'arms'"):
            envs.family("GaussianBandit-DPT-v0", arms=value)


def test_a_name_without_a_version_is_refused():
    for name in ("", "Bandit", "Bandit-v", "Ban dit-v0", "Bandit-v0 "):
        with pytest.raises(ValueError, match="a family's name must end in a version"):
            envs.register(GaussianBanditFamily(name=name, horizon=5))


def test_a_name_is_held_by_one_family():
    pinned = envs.family("GaussianBandit-DPT-v0")
    assert envs.register(pinned) is pinned  # the same again: a module imported twice
    with pytest.raises(ValueError, match="name 'GaussianBandit-DPT-v0' is taken by"):
        envs.register(GaussianBanditFamily(name=pinned.name, horizon=7))
    assert envs.family(pinned.name) is pinned


def test_a_listener_hears_of_every_family(monkeypatch):
    before = envs.names()
    monkeypatch.setattr(FAMILIES, "_entries", dict(FAMILIES._entries))
    monkeypatch.setattr(FAMILIES, "_listeners", [])
    heard = []
    FAMILIES.tell(heard.append)
    envs.register(GaussianBanditFamily(name="Later-v0", horizon=5))
    assert heard == [*before, "Later-v0"]


def test_the_template_itself_registers_nothing():
    assert not [name for name in envs.names() if name.startswith("Corridor")]


def test_a_copy_of_the_template_is_found_in_envs_and_in_another_package(tmp_path):
    copy = TEMPLATE.read_text().replace("Corridor-v0", "TheirCorridor-v0")
    install(tmp_path, "their_corridor", copy)
    for package in ("envs", "icrl"):  # a copy of one beside the other is refused
        shutil.copytree(
            TEMPLATE.parent.parent / package,
            tmp_path / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(TEMPLATE, tmp_path / "envs" / "my_corridor.py")
    done = python(
        f"""
        sys.path.insert(0, {str(tmp_path)!r})
        import gymnasium
        gymnasium.make("icrl:icrl/Corridor-v0", horizon=5).reset(seed=0)
        gymnasium.make("icrl/TheirCorridor-v0", length=3).reset(seed=0)
        import envs
        print(envs.names())
        """
    )
    assert "'Corridor-v0'" in done.stdout
    assert "'TheirCorridor-v0'" in done.stdout


def test_a_package_that_cannot_be_loaded_is_warned_of_and_left_out(tmp_path):
    install(tmp_path, "broken_bandit", "raise RuntimeError('half written')")
    done = python("import envs; print(envs.names())", tmp_path)
    assert "'GaussianBandit-DPT-v0'" in done.stdout
    assert "'broken_bandit' of icrl.envs cannot be loaded: half written" in done.stderr


def test_an_experiment_under_another_name_than_its_file_is_told_so_in_the_list(
    tmp_path,
):
    install(tmp_path, "file_name", "", "[icrl.experiments]\nother_name = {}")
    done = python("from icrl import cli; cli.main(['list'])", tmp_path)
    assert "other_name: an entry point of icrl.experiments must have the" in done.stdout
    assert "name of its file, got other_name = file_name" in done.stdout
    assert "quickstart: Does a transformer" in done.stdout
