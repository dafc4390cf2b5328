"""Every flag says what it is, in words of its own."""

import dataclasses
import re
import typing
import warnings

import pytest
import tyro

from icrl.commands import COMMANDS
from icrl.experiment import EXPERIMENTS

HINT = re.compile(r"\s*\((default|required|optional|repeatable|fixed)\b.*", re.DOTALL)


def flags(kind, **options):
    """What `--help` says of every flag of a record, by name, without its default."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # parsers are to go, in some later tyro
        parser = tyro.extras.get_parser(kind, **options)
    said = {}
    for action in parser._actions:
        names = [name for name in action.option_strings if name.startswith("--")]
        if names != ["--help"]:
            name = names[0] if names else str(action.metavar)
            said[name] = HINT.sub("", action.help or "").strip()
    return said


def require_words(said):
    silent = sorted(name for name, words in said.items() if not words)
    assert not silent, f"no help: {', '.join(silent)}"
    for record in {name.rpartition(".")[0] for name in said}:
        texts = [w for name, w in said.items() if name.rpartition(".")[0] == record]
        twice = sorted({text for text in texts if texts.count(text) > 1})
        assert not twice, f"said of two flags: {twice}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_of_a_command_says_what_it_is(name):
    require_words(flags(COMMANDS[name]))


@pytest.mark.parametrize("name", EXPERIMENTS.names())
def test_every_flag_of_an_experiment_says_what_it_is(name):
    presets = EXPERIMENTS[name].presets
    default = next(iter(presets.values()))
    options = {"default": default, "config": (tyro.conf.CascadeSubcommandArgs,)}
    said = flags(type(default), **options)
    assert len(said) >= len(dataclasses.fields(default))
    require_words(said)


def test_a_field_without_words_is_found_and_one_with_anothers_too():
    @dataclasses.dataclass(frozen=True)
    class Silent:
        width: int = 4

    with pytest.raises(AssertionError, match="no help: --width"):
        require_words(flags(Silent))
    with pytest.raises(AssertionError, match="said of two flags"):
        require_words(flags(Shared))


@dataclasses.dataclass(frozen=True)
class Shared:
    # of a block
    width: int = 4
    depth: int = 2


def test_flags_of_a_model_are_not_those_of_their_neighbours():
    hints = typing.get_type_hints(type(EXPERIMENTS["quickstart"].presets["smoke"]))
    said = flags(hints["model"])
    assert "added to the embedding" in said["--positions"]
    assert "Shazeer" in said["--activation"]
