"""The commands of `icrl` but for `run`: records whose fields are flags.

Nothing here imports jax before a command that needs it is called.
"""

import dataclasses
import pathlib
from typing import Annotated

from tyro.conf import Positional, arg

from envs.fields import check_seed
from icrl.config import require_positive
from icrl.errors import RunError, one_line
from icrl.experiment import EXPERIMENTS, Experiment


@dataclasses.dataclass(frozen=True)
class List:
    """Experiments, with their question, presets and cost."""

    def __call__(self) -> None:
        """Prints them."""
        for name in EXPERIMENTS.names():
            try:
                print(describe(EXPERIMENTS[name]) + "\n")
            except ValueError as error:  # of somebody else's; the others are listed
                print(f"{name}: {one_line(error)}\n")


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


def describe(chosen: Experiment) -> str:
    """Returns an experiment's name, question, and presets with their cost."""
    lines = [f"{chosen.name}: {chosen.question}"]
    width = max(map(len, chosen.costs))
    for preset, cost in chosen.costs.items():
        note = " (default)" if preset == chosen.default_preset else ""
        lines.append(f"  {preset:{width}} {cost}{note}")
    return "\n".join(lines)


def _label(folder: pathlib.Path) -> str:
    return f"{folder.absolute().parent.name}/{folder.absolute().name}"
