"""Panels of a figure, declared: what is measured, how it is called and drawn.

An experiment lists its panels; its `run` returns scores under their names. Rows, paired
differences and curves follow from the scores, the drawing from saved numbers alone.
Nothing here imports jax or matplotlib before it is used.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

REFERENCE = "exact_posterior_sampling"  # what an ideal DPT does (Lin et al., Section 3)
Published: TypeAlias = Mapping[str, Mapping[int, float]]  # agent -> step -> value
Summary: TypeAlias = Mapping[str, Any]
Arrays: TypeAlias = Mapping[str, Any]
More: TypeAlias = Callable[[Any, Summary, Arrays], None]  # draws on axes
# What the axes show where the last point of a curve is this metric, and the first step.
AXES = {
    "final_regret": ("pulls", "cumulative regret (reward units)", 1),
    "final_suboptimality": ("transitions in the data set", "suboptimality", 0),
    "return_last_episode": ("episodes", "return of the episode", 1),
    "return": ("", "return of an episode", 1),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """One axes of a figure, by the name under which `run` returns its numbers.

    Args:
        name: first word of its rows and arrays.
        title: above it; empty where there are rows alone and nothing is drawn.
        before: draws on the axes first, `(ax, summary, arrays)`.
        after: draws on the axes last, likewise.
    """

    name: str
    title: str = ""
    before: More | None = None
    after: More | None = None

    def with_published(self, published: Published) -> "Panel":
        """Returns the panel with published values, if it takes any."""
        del published
        return self

    def numbers(self, scores: Any) -> Any:
        """Returns the `Numbers` of scores; `run` may return these instead."""
        raise ValueError(
            f"`run` must return `Numbers` for {self.name!r}, a panel of kind "
            f"{type(self).__name__}, got {type(scores).__name__}"
        )

    def has(self, summary: Summary, arrays: Arrays) -> bool:
        """Tells whether a run has what this draws."""
        del summary
        return any(key.startswith(f"{self.name}/") for key in arrays)

    def draw(self, ax: Any, summary: Summary, arrays: Arrays) -> None:
        """Draws saved numbers."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curves(Panel):
    """Scores of every agent over time, from `Scores`.

    Args:
        metric: of the last point.
        reference: the agent to which others are compared, task by task.
        ideal: whether a perfectly trained model equals the reference.
        published: drawn as marks; that of the last step is compared. If empty, those
            of the table beside the script (`icrl/published.py`).
        agents: those that are drawn, in this order; all if None.
        styles: of agents that the house style does not know: arguments of a matplotlib
            line, and its `label`.
        xlabel: of the horizontal axis; as the metric has it if None.
        ylabel: likewise.
        first_step: likewise.
        yscale: "linear" or "log".
        bottom: of the vertical axis; free if None.
        top: likewise, or a function of the arrays.
    """

    metric: str = "final_regret"
    reference: str = REFERENCE
    ideal: bool = True
    published: Published = dataclasses.field(default_factory=dict)
    agents: Sequence[str] | None = None
    styles: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    xlabel: str | None = None
    ylabel: str | None = None
    first_step: int | None = None
    yscale: str = "linear"
    bottom: float | None = None
    top: float | Callable[[Arrays], float] | None = None

    def with_published(self, published: Published) -> Panel:
        """Returns the panel with these published values, if it has none of its own."""
        return dataclasses.replace(self, published=self.published or published)

    def numbers(self, scores: Any) -> Any:
        """Returns a row for every last point, and one for every paired difference."""
        from icrl.evaluation import numbers

        first = AXES.get(self.metric, ("", "", 1))[2]
        return numbers.of_curves(
            self.name,
            scores,
            metric=self.metric,
            reference=self.reference,
            published=self.published,
            first_step=first if self.first_step is None else self.first_step,
            ideal=self.ideal,
        )

    def draw(self, ax: Any, summary: Summary, arrays: Arrays) -> None:
        """Draws means, bands and published marks."""
        from icrl.drawing import figures

        del summary
        xlabel, ylabel, _ = AXES.get(self.metric, ("", "", 1))
        figures.draw_curves(
            ax,
            arrays,
            self.name,
            title=self.title,
            xlabel=xlabel if self.xlabel is None else self.xlabel,
            ylabel=ylabel if self.ylabel is None else self.ylabel,
            marks=self.published,
            agents=self.agents,
            styles=self.styles,
            yscale=self.yscale,
            bottom=self.bottom,
            top=self.top(arrays) if callable(self.top) else self.top,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss(Panel):
    """The loss after every prefix beside the least that is possible, from `losses`.

    Args:
        agent: whose loss it is.
        reference: the algorithm whose loss is the least.
    """

    name: str = "loss"
    title: str = "loss against its floor"
    agent: str = "dpt"
    reference: str = REFERENCE

    def numbers(self, scores: Any) -> Any:
        """Returns rows of the loss, its floor and their difference."""
        from icrl.evaluation import numbers

        return numbers.of_losses(
            self.name, scores, agent=self.agent, reference=self.reference
        )

    def draw(self, ax: Any, summary: Summary, arrays: Arrays) -> None:
        """Draws both curves."""
        from icrl.drawing.losses import draw_loss

        del summary
        draw_loss(ax, arrays, self.name, title=self.title, agent=self.agent)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distances(Panel):
    """How far agents are from their target, from `Distances` of the diagnostics.

    Args:
        measure: "tv" (total variation) or "kl" (nats), what is drawn.
        target: what the agents are compared with, in words.
    """

    measure: str = "tv"
    target: str = "the target"

    def numbers(self, scores: Any) -> Any:
        """Returns rows of both measures."""
        from icrl.evaluation import numbers

        return numbers.of_distances(self.name, scores.kl, scores.tv)

    def has(self, summary: Summary, arrays: Arrays) -> bool:
        """Tells whether a run has what this draws."""
        del summary
        return f"{self.name}_{self.measure}/steps" in arrays

    def draw(self, ax: Any, summary: Summary, arrays: Arrays) -> None:
        """Draws one measure over the decisions."""
        from icrl.drawing import figures

        del summary
        measure = {"tv": "total variation to {}", "kl": "KL from {} (nats)"}
        figures.draw_curves(
            ax,
            arrays,
            f"{self.name}_{self.measure}",
            title=self.title,
            xlabel="transitions known",
            ylabel=measure[self.measure].format(self.target),
        )
        ax.set_ylim(bottom=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bars(Panel):
    """Rows of other panels as groups of bars; it has no numbers of its own.

    Args:
        groups: name of each panel, and how its group is called.
        metric: of the rows.
        agents: one bar each, in this order.
        optional: whether a run may lack some of them.
        ylabel: of the vertical axis.
        yscale: "linear" or "log".
    """

    name: str = ""
    groups: Mapping[str, str]
    metric: str
    agents: Sequence[str]
    optional: bool = False
    ylabel: str
    yscale: str = "linear"

    def has(self, summary: Summary, arrays: Arrays) -> bool:
        """Tells whether a run has the rows of every group."""
        del arrays
        return set(self.groups) <= {row["panel"] for row in summary["rows"]}

    def draw(self, ax: Any, summary: Summary, arrays: Arrays) -> None:
        """Draws the bars with intervals and published values."""
        from icrl.drawing.bars import draw_bars

        del arrays
        rows = summary["rows"]
        there = {(r["panel"], r["agent"]) for r in rows if r["metric"] == self.metric}
        draw_bars(
            ax,
            summary,
            self.groups,
            metric=self.metric,
            agents=[
                agent
                for agent in self.agents
                if not self.optional
                or all((panel, agent) in there for panel in self.groups)
            ],
            title=self.title,
            ylabel=self.ylabel,
            yscale=self.yscale,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing(Panel):
    """A panel of one's own: `run` returns its `Numbers`, a function draws them.

    Args:
        function: `(ax, summary, arrays)`.
        needs: how the arrays that it draws begin; `<name>/` if empty.
    """

    function: More
    needs: str = ""

    def has(self, summary: Summary, arrays: Arrays) -> bool:
        """Tells whether a run has what this draws."""
        del summary
        start = self.needs or f"{self.name}/"
        return any(key.startswith(start) for key in arrays)

    def draw(self, ax: Any, summary: Summary, arrays: Arrays) -> None:
        """Calls the function, and writes the title."""
        self.function(ax, summary, arrays)
        ax.set_title(self.title, loc="left", fontsize=10)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows(Panel):
    """Rows alone, in the table and not in the figure: `run` returns `Numbers`."""
