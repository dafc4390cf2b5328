"""The command line: `icrl COMMAND`, and `python -m experiments.NAME`.

A command is a record: tyro fills its fields from flags, then it is called. Bad input is
one line on standard error and exit code 2; a traceback means a bug of ours. `--debug`,
or ICRL_DEBUG=1, shows the traceback of bad input too.
"""

import contextlib
import dataclasses
import importlib.metadata
import io
import os
import pathlib
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import tyro
from tyro.conf import Positional, arg

from envs.fields import check_seed
from icrl.config import require_positive
from icrl.errors import RunError, unknown
from icrl.experiment import EXPERIMENTS, Experiment
from icrl.packages import ShadowedError

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax", "numpy", "scipy", "matplotlib")


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
        elif words[0] in COMMANDS:
            _parse(COMMANDS[words[0]], words[1:], f"icrl {words[0]}")()
        else:
            raise unknown("command", words[0], ["run", *COMMANDS])


def run_experiment(chosen: Experiment, argv: Sequence[str] | None = None) -> None:
    """Runs an experiment from its own script: `[PRESET] [--flags]`.

    Args:
        chosen: the experiment.
        argv: the words after the script; those of the process if None.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    with _one_line_errors(words):
        _run(chosen, words, prog=f"python -m experiments.{chosen.name}")


@dataclasses.dataclass(frozen=True)
class List:
    """Experiments, with their question, presets and cost."""

    def __call__(self) -> None:
        """Prints them."""
        for name in EXPERIMENTS.names():
            try:
                print(_describe(EXPERIMENTS[name]) + "\n")
            except ValueError as error:  # of somebody else's; the others are listed
                print(f"{name}: {_message(error)}\n")


@dataclasses.dataclass(frozen=True)
class Figure:
    """Redraws an experiment's figure from saved numbers alone: NAME [--run FOLDER]."""

    name: Annotated[str, Positional, arg(metavar="NAME")]  # of an experiment
    run: pathlib.Path | None = None  # folder; its newest finished run if none is given

    def __call__(self) -> None:
        """Writes the figure's files next to the numbers."""
        from icrl import runs
        from icrl.runs import saved

        chosen = EXPERIMENTS[self.name]
        folder = saved.find(str(self.run or self.name), runs.results_root())
        print(f"numbers  {folder / 'summary.json'}")
        for path in saved.draw(chosen, folder):
            print(f"wrote    {path}")


@dataclasses.dataclass(frozen=True)
class Compare:
    """Summaries side by side and paired differences: RUN..., folders or names."""

    runs: Annotated[
        tuple[str, ...], Positional, arg(metavar="RUN...")
    ]  # folders, or names

    def __call__(self) -> None:
        """Prints the table; then every run less the first, task by task."""
        from icrl import runs
        from icrl.runs import saved, tables

        if not self.runs:
            raise RunError("icrl compare needs at least one run")
        folders = [saved.find(run, runs.results_root()) for run in self.runs]
        summaries = {_label(f): saved.read_summary(f) for f in folders}
        print(tables.compare_table(summaries))
        from icrl.evaluation import comparison  # imports jax

        for folder in folders[1:]:
            rows, reasons = comparison.compare(folder, folders[0])
            print(f"\n{_label(folder)} less {_label(folders[0])}")
            if rows:
                print(tables.rows_table(rows))
            for reason in reasons:
                print(reason)


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Plays a trained run in other tasks: RUN --family NAME [--horizon N]."""

    run: Annotated[str, Positional, arg(metavar="RUN")]  # folder, or an experiment
    family: str  # as icrl envs names it
    horizon: int | None = None  # steps of an episode; as trained if None
    extrapolate: bool = False  # play more steps than the model was trained on
    which: str = ""  # name of the model, where a run trained several
    num_tasks: int = 1000  # that each training seed plays

    def __post_init__(self):
        require_positive(self, "num_tasks", "horizon")

    def __call__(self) -> None:
        """Prints the table."""
        from icrl import runs
        from icrl.runs import saved, tables

        folder = saved.find(self.run, runs.results_root())
        from icrl.evaluation import transfer  # imports jax

        rows = transfer.evaluate_run(
            str(folder),
            family=self.family,
            horizon=self.horizon,
            extrapolate=self.extrapolate,
            which=self.which,
            num_tasks=self.num_tasks,
        )
        print(tables.rows_table(rows))


@dataclasses.dataclass(frozen=True)
class Diagnose:
    """Measures what a trained run has learnt: RUN [--target NAME] [--which MODEL]."""

    run: Annotated[str, Positional, arg(metavar="RUN")]  # folder, or an experiment
    target: str = "exact_posterior_sampling"  # the algorithm it should equal
    # of the target, each a name and a value: --options width 2.0
    options: dict[str, float | str] = dataclasses.field(default_factory=dict)
    which: str = ""  # name of the model, where a run trained several
    num_tasks: int = 1000  # that each training seed plays

    def __post_init__(self):
        require_positive(self, "num_tasks")

    def __call__(self) -> None:
        """Prints the table."""
        from icrl import runs
        from icrl.runs import saved, tables

        folder = saved.find(self.run, runs.results_root())
        from icrl.diagnostics import diagnosis  # imports jax

        rows = diagnosis.diagnose(
            str(folder),
            target=self.target,
            options=self.options,
            num_tasks=self.num_tasks,
            which=self.which,
        )
        print(tables.rows_table(rows))


@dataclasses.dataclass(frozen=True)
class Freeze:
    """Writes a hashed data set of DPT's contexts: --family NAME --out FOLDER."""

    family: str  # as icrl envs names it
    out: pathlib.Path  # folder; must not hold anything
    num_examples: int  # trajectories
    horizon: int | None = None  # steps; the family's own if None
    num_episodes: int = 1  # in a context
    context: str = "dirichlet_point_mass"  # algorithm that collects: the behaviour
    tokenizer: str = "query_first"  # how an interaction becomes tokens
    empty_context: bool = True  # whether decision 0 has a label
    seed: int = 0  # of the examples: the same seed, the same bytes

    def __post_init__(self):
        require_positive(self, "num_examples", "horizon", "num_episodes")
        check_seed("seed", self.seed)

    def __call__(self) -> None:
        """Writes it and prints its hash."""
        from icrl.pretraining import dataset  # imports jax

        manifest = dataset.freeze_dpt(
            self.out,
            family=self.family,
            horizon=self.horizon,
            num_episodes=self.num_episodes,
            context=self.context,
            tokenizer=self.tokenizer,
            empty_context=self.empty_context,
            num_examples=self.num_examples,
            seed=self.seed,
        )
        print(f"wrote    {self.out}: {self.num_examples} examples")
        print(f"sha256   {manifest['sha256']}")


@dataclasses.dataclass(frozen=True)
class Envs:
    """Families of tasks, with their sizes and source."""

    def __call__(self) -> None:
        """Prints them."""
        import envs  # imports jax
        from icrl.runs import tables

        lines = []
        for name in envs.names():
            family = envs.family(name)
            sizes = str(family.num_actions), str(family.horizon)
            lines.append((name, *sizes, family.source))
        print(tables.table(("family", "actions", "horizon", "source"), lines, left=4))


@dataclasses.dataclass(frozen=True)
class CheckEnv:
    """Tests whether a family keeps the contract of tasks: NAME."""

    name: Annotated[str, Positional, arg(metavar="NAME")]  # as icrl envs names it

    def __call__(self) -> None:
        """Prints a line per claim; exits with 1 if one fails."""
        from envs import check  # imports jax

        lines = check.check_env(self.name)
        for claim, passed, message in lines:
            print(f"{'ok  ' if passed else 'FAIL'}  {claim}  {message}".rstrip())
        failed = sum(not passed for _, passed, _ in lines)
        print(f"{self.name}: {len(lines) - failed} of {len(lines)} checks passed")
        if failed:
            raise SystemExit(1)


COMMANDS: dict[str, type] = {
    "list": List,
    "figure": Figure,
    "compare": Compare,
    "evaluate": Evaluate,
    "diagnose": Diagnose,
    "freeze": Freeze,
    "envs": Envs,
    "check-env": CheckEnv,
}
RUN = "Runs an experiment, or resumes it: NAME [PRESET] [--flags]."


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
        description=f"{_describe(chosen)}\n\nThe flags show preset {preset}.",
        default=default,
        config=(tyro.conf.CascadeSubcommandArgs,),
    )
    from icrl import runs
    from icrl.runs import runtime

    with runs.open_run(chosen, preset, config) as run:
        if not run.done:
            print(f"run      {run.folder}", flush=True)
            runtime.enable_compilation_cache()
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
        print(f"error: {_message(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    except (RuntimeError, MemoryError) as error:
        lack = _lack(error)
        if debug or not lack:
            raise
        print(f"error: {lack}", file=sys.stderr)
        raise SystemExit(2) from None


def _lack(error: BaseException) -> str | None:
    """What the machine does not have, in one line; None where that is not the fault."""
    text = _message(error)
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


def _message(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else text
    return " ".join(text.split()) or type(error).__name__


def _overview() -> str:
    usage = "usage: icrl COMMAND [--help] [--debug], or icrl --version"
    lines = [usage, "", f"  run        {RUN}"]
    for name, command in COMMANDS.items():
        lines.append(f"  {name:10} {(command.__doc__ or '').splitlines()[0]}")
    return "\n".join([*lines, "", _names()])


def _names() -> str:
    return "experiments: " + (", ".join(EXPERIMENTS.names()) or "none")


def _describe(chosen: Experiment) -> str:
    """Returns an experiment's name, question, and presets with their cost."""
    lines = [f"{chosen.name}: {chosen.question}"]
    for preset, cost in chosen.costs.items():
        note = " (default)" if preset == chosen.default_preset else ""
        lines.append(f"  {preset:6} {cost}{note}")
    return "\n".join(lines)


def _label(folder: pathlib.Path) -> str:
    return f"{folder.absolute().parent.name}/{folder.absolute().name}"
