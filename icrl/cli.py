"""The command line: `icrl COMMAND`, and `python -m experiments.NAME`.

A command is a record: tyro fills its fields from flags, then it is called. Bad input is
one line on standard error and exit code 2; a traceback means a bug of ours. `--debug`,
or ICRL_DEBUG=1, shows the traceback of bad input too.
"""

import contextlib
import gc
import importlib.metadata
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import tyro

from icrl import commands
from icrl.errors import RunError, one_line, unknown
from icrl.experiment import EXPERIMENTS, Experiment
from icrl.packages import ShadowedError

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax", "numpy", "scipy", "matplotlib")
MOST_STREAMS = 8  # of a processor; a batch has little for each of more
RUN = "Runs an experiment, or resumes it: NAME [PRESET] [--flags]."


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command; exits with 0, 1 (a check failed), 2 (bad input) or a signal's.

    Args:
        argv: the words after `icrl`; those of the process if None.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    with _one_line_errors(words):
        if not words or words[0] in ("-h", "--help"):
            print(_overview())
        elif words[0] == "--version":
            print(f"icrl {importlib.metadata.version('icrl')}")
        elif words[0] == "run":
            _run_named(words[1:])
        elif words[0] in commands.COMMANDS:
            _parse(commands.COMMANDS[words[0]], words[1:], f"icrl {words[0]}")()
        else:
            raise unknown("command", words[0], ["run", *commands.COMMANDS])


def run_experiment(chosen: Experiment, argv: Sequence[str] | None = None) -> None:
    """Runs an experiment from its own script: `[PRESET] [--flags]`.

    Args:
        chosen: the experiment.
        argv: the words after the script; those of the process if None.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    with _one_line_errors(words):
        _run(chosen, words, prog=f"python -m experiments.{chosen.name}")


def _one_device_for_each_core() -> None:
    """Lets a processor count as several devices, over which training spreads a batch.

    Small models leave a core idle that shares their operations with another. It must be
    known before jax is imported; who has set it is not overruled.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    streams = min(MOST_STREAMS, 2 ** (cores.bit_length() - 1))
    named = "device_count" in os.environ.get("XLA_FLAGS", "")
    if not named and "jax" not in sys.modules:
        os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(streams))


def _run_named(words: list[str]) -> None:
    """Runs the experiment that the first word names."""
    if not words:
        raise RunError(f"icrl run needs a name; {_names()}")
    if words[0] in ("-h", "--help"):
        print(f"usage: icrl run NAME [PRESET] [--flags]\n\n{RUN}\n\n{_names()}")
    else:
        chosen = EXPERIMENTS[words[0]]
        _run(chosen, words[1:], prog=f"icrl run {chosen.name}")


def _run(chosen: Experiment, words: list[str], prog: str) -> None:
    """Resolves the config, then computes what is not there yet."""
    preset = chosen.default_preset
    if words and not words[0].startswith("-") and ":" not in words[0]:
        preset, words = words[0], words[1:]
    default = chosen.preset(preset)
    config = _parse(
        type(default),
        words,
        f"{prog} {preset}",
        description=f"{commands.describe(chosen)}\n\nThe flags show preset {preset}.",
        default=default,
        config=(tyro.conf.CascadeSubcommandArgs,),
    )
    _one_device_for_each_core()
    from icrl import runs
    from icrl.runs import runtime

    with runs.open_run(chosen, preset, config) as run:
        if not run.done:
            print(f"run      {run.folder}", flush=True)
            runtime.enable_compilation_cache()
            # To trace is to make millions of small objects that live: a search for
            # circles at every 700 of them would take a tenth of the time.
            gc.set_threshold(200_000, 20, 50)
            chosen.run(run, run.config)
        if not run.done:
            raise RuntimeError(f"{chosen.name} ended without run.finish(rows, arrays)")
        run.print_table()


def _parse(kind: type, words: list[str], prog: str, **options: Any) -> Any:
    """Returns the record that the words describe.

    Raises:
        RunError: if they describe none; the first line of tyro's message.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=words, prog=prog, **options)
    except SystemExit as stop:
        if stop.code:
            raise RunError(_shortened(said.getvalue())) from None
        raise


def _shortened(box: str) -> str:
    """Returns the message in tyro's box as one line, with what it suggests."""
    lines = [line.strip("│╭╰╮╯ ") for line in box.strip().splitlines()[1:]]
    parts = re.split(r"^[─-]{4,}$", "\n".join(lines), flags=re.MULTILINE)
    sections = [" ".join(part.split()) for part in parts if part.strip()]
    for section in sections[1:]:
        if found := re.match(r"Perhaps you meant:.*?(--[\w.-]+)", section):
            return f"{sections[0]}; did you mean {found[1]}?"
    for section in sections[1:]:
        if section.startswith("Available subcommands"):
            return f"{sections[0]}; {section[0].lower()}{section[1:]}"
    return sections[0]


@contextlib.contextmanager
def _one_line_errors(words: list[str]) -> Iterator[None]:
    """Turns bad input, and what the machine lacks, into one line and exit code 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may know ASCII alone
    debug = os.environ.get("ICRL_DEBUG", "0") not in ("", "0")
    if "--debug" in words:
        words.remove("--debug")
        debug = True
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader had enough: icrl list | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except (RunError, ShadowedError, ValueError, OSError) as error:
        if debug or _is_bug(error):
            raise
        print(f"error: {one_line(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    except (RuntimeError, MemoryError) as error:
        lack = _lack(error)
        if debug or not lack:
            raise
        print(f"error: {lack}", file=sys.stderr)
        raise SystemExit(2) from None


def _lack(error: BaseException) -> str | None:
    """What the machine does not have, in one line; None where that is not the fault."""
    text = one_line(error)
    text = text if len(text) <= 300 else f"{text[:300]}..."
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text:
        return (
            "out of memory: lower --training.micro-batch or --training.batch-size, the "
            f"sizes of --model, or --num-tasks ({text})"
        )
    if "Unable to initialize backend" in text:
        platforms = os.environ.get("JAX_PLATFORMS")
        return (
            f"JAX_PLATFORMS must name devices that are here, got {platforms!r}: {text}"
        )
    return None


def _is_bug(error: BaseException) -> bool:
    """Tells a ValueError that a library raised inside our code from bad input."""
    if isinstance(error, RunError | ShadowedError | OSError):
        return False
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace else ""
    return module.split(".")[0] in LIBRARIES


def _overview() -> str:
    usage = "usage: icrl COMMAND [--help] [--debug], or icrl --version"
    lines = [usage, "", f"  run        {RUN}"]
    for name, command in commands.COMMANDS.items():
        lines.append(f"  {name:10} {(command.__doc__ or '').splitlines()[0]}")
    return "\n".join([*lines, "", _names()])


def _names() -> str:
    return "experiments: " + (", ".join(EXPERIMENTS.names()) or "none")
