"""How many layers does a transformer need to be LinUCB?

Soft LinUCB as weights, by every scheme for its ridge regressions: gradient descent,
accelerated gradient descent (the paper's proof, with its own constants and with the
tightest), Chebyshev's iteration, and Newton-Schulz iterations, whose digits double. On
LinUCB's own histories the error of its parameter and the total variation of its action
probabilities stand against the number of layers, with the slopes that theory predicts,
-1/√κ and -2/√κ. In play, the regret above LinUCB's: it is gone long before.

Over 300 lines: errors by depth and play by depth are one question.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Theorem on soft LinUCB, which counts
Õ(√T) layers and builds none; Newton-Schulz and Chebyshev are ours.
Command: icrl run theory_depth cpu
Cost: an hour and a quarter of one core.
Expect: a total variation of 1e-3 at most from 29 layers on (Newton-Schulz), from 166
(Chebyshev), 261 (accelerated) and 411 (the paper's constants); after 351 of gradient
descent 0.55.
Slopes -0.0331 (accelerated; -1/√κ is -0.0317), -0.0213 (the paper's; -0.0204) and
-0.0634 (Chebyshev; -2/√κ is -0.0634), of κ 996, and 2,394 with the paper's constants.
Regret of 40 bandits, 37.8: from 51 layers no scheme pays more for sure (5.3 ± 9.1 at
most), though the paper's constants still choose quite other actions there.
"""

import dataclasses
import functools
import math

from icrl import cli, study
from icrl.config import ExperimentConfig
from icrl.drawing import depths as drawing
from icrl.panels import Drawing

NEWTON_SCHULZ = "newton_schulz"
SCHEMES = (NEWTON_SCHULZ, "chebyshev", "accelerated", "accelerated_paper", "gradient")
PANELS = [
    Drawing(
        name="errors",
        title="error of LinUCB's parameter",
        function=functools.partial(
            drawing.draw_errors,
            measure="parameter_error",
            ylabel="largest error (reward units)",
            slopes=True,
        ),
    ),
    Drawing(
        name="",
        title="distance from LinUCB, at worst",
        function=functools.partial(
            drawing.draw_errors, measure="tv_max", ylabel="total variation"
        ),
        needs="errors/",
    ),
    Drawing(
        name="regret",
        title="regret above LinUCB's",
        function=drawing.draw_regrets,
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment."""

    num_histories: int = 20  # of LinUCB, on which errors are measured
    num_tasks: int = 40  # bandits that each depth plays
    horizon: int = 200  # pulls
    num_arms: int = 10  # of a bandit
    dim: int = 5  # of an arm's features
    temperature: float = 0.05  # of soft LinUCB
    schemes: tuple[str, ...] = SCHEMES  # that are measured
    newton_schulz: int = 31  # layers of this scheme, at most; an odd number
    chebyshev: int = 201  # of this one
    accelerated: int = 351  # of gradient descent with momentum, tightest constants
    accelerated_paper: int = 501  # of the same with the paper's constants
    gradient: int = 351  # of gradient descent
    every: int = 5  # layers of the others between two measurements
    # layers with which they play, where a scheme has so many
    played: tuple[int, ...] = (11, 26, 51, 101)
    # and those of Newton-Schulz
    played_newton_schulz: tuple[int, ...] = (15, 19, 21, 23, 25, 29)

    def __post_init__(self):
        super().__post_init__()
        if set(self.schemes) - set(SCHEMES) or not self.schemes:
            given = ", ".join(self.schemes) or "none"
            raise ValueError(f"schemes must be of {', '.join(SCHEMES)}, got {given}")
        for name in SCHEMES:
            if (most := getattr(self, name)) < 5:
                raise ValueError(f"{name} must be at least 5, got {most}")
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")
        for name in ("played", "played_newton_schulz"):
            if min(getattr(self, name), default=5) < 5:
                raise ValueError(
                    f"{name} must be at least 5 each, got {getattr(self, name)}"
                )


def run(run, config: Config):
    """Measures every scheme."""
    del run
    return {
        "errors": functools.partial(_errors, config),
        "regret": functools.partial(_regret, config),
    }


def _errors(config: Config):
    """Rows of slopes, of layers that are needed, and errors by depth."""
    import jax
    import numpy as np

    from icrl.evaluation.numbers import Numbers, add_estimate
    from icrl.theory.ridge import curvatures

    numbers = Numbers()
    known = {"seeds": 0, "tasks": config.num_histories}
    with jax.enable_x64(True):
        for scheme in config.schemes:
            depths, found = _by_depth(config, scheme)
            for measure, values in found.items():
                numbers.arrays[f"errors/{scheme}/{measure}"] = values
            numbers.arrays[f"errors/{scheme}/depths"] = depths
            add = functools.partial(add_estimate, numbers, "errors", scheme)
            for bound in (1e-2, 1e-3):
                above = np.flatnonzero(found["tv_max"] > bound)
                first = above[-1] + 1 if len(above) else 0  # it stays below from here
                if first < len(depths):
                    layers = [float(depths[first])] * 3
                    add(f"layers_to_tv_{bound:g}", layers, **known)
            if scheme == NEWTON_SCHULZ:
                continue
            tight = scheme != "accelerated_paper"
            largest = float(config.dim)
            least, most = curvatures(1.0, largest, config.horizon, tight=tight)
            root = math.sqrt(least / most)
            # without momentum, directions that are known better fall faster than 1/κ
            slopes = {"gradient": None, "chebyshev": -2 * root}
            exact = slopes.get(scheme, -root)
            error = found["parameter_error"]
            inside = (error < 0.3 * error[0]) & (error > 1e-9)
            if inside.sum() > 1:
                slope = np.polyfit(depths[inside], np.log(error[inside]), 1)[0]
                add("slope", [slope] * 3, exact=exact, **known)
    return numbers


def _by_depth(config: Config, scheme: str):
    """Depths, and what is measured at each: the worst of all histories and decisions.

    `parameter_error` of theta, in the norm; `tv_max`, and `tv_mean` over all of them.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from icrl.agents import as_agent
    from icrl.algorithms.posteriors.ridge import ridge_before
    from icrl.diagnostics.divergence import total_variation
    from icrl.evaluation import over_seeds_and_tasks, play
    from icrl.theory.agents import written
    from icrl.theory.compiler import require_limits
    from icrl.theory.depth import at_every_depth
    from icrl.tokenizers.encoding import decisions, encode

    family, algorithm, tokenizer = _setting(config)
    test = study.Evaluation(config, family.split().test)
    most, newton = getattr(config, scheme), scheme == NEWTON_SCHULZ
    construction = _construction(config, family, scheme, most)
    model, target = written(construction, tokenizer), as_agent(algorithm)
    field = "point" if scheme in ("chebyshev", "gradient") else "solution"
    depths = []

    def measure(model, index):
        task, played = play(test.key, test.tasks, target, None, index)
        tokens = encode(tokenizer, played)
        exact = target.action_probabilities(None, task, played)[:-1]
        x = family.features(played.obs[0])[played.action]
        theta = ridge_before(x, played.timestep.reward, 1.0).theta_hat

        def read(stream):
            logits = decisions(tokenizer, model.policy(stream, tokens))[:-1]
            found = construction.stream.read(field, stream)[..., 0, :]
            found = decisions(tokenizer, found)[:-1]
            tv = total_variation(exact, jax.nn.softmax(logits))
            error = jnp.linalg.norm(found - theta, axis=-1)
            return {"parameter_error": error, "tv": tv}

        tail, every = (2, 1) if newton else (1, config.every)
        found = at_every_depth(model, tokens, read, tail=tail, every=every)
        depths[:] = found[0]
        return found[1], tokens

    number = config.num_histories
    found, tokens = over_seeds_and_tasks(model, measure, number, number)
    require_limits(construction, np.asarray(tokens))
    error, tv = (np.asarray(found[name][0]) for name in ("parameter_error", "tv"))
    return np.array(depths), {
        "parameter_error": error.max((0, 2)),
        "tv_max": tv.max((0, 2)),
        "tv_mean": tv.mean((0, 2)),
    }


def _regret(config: Config):
    """Rows of the regret above LinUCB's, of every scheme at some depths."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from icrl.evaluation import play, score_agents
    from icrl.evaluation.numbers import Numbers, add_row
    from icrl.theory.agents import written
    from icrl.theory.compiler import require_limits
    from icrl.theory.depth import few_at_once
    from icrl.tokenizers.encoding import encode

    def measure(agent, model, index):
        """The least and the largest value of each feature, then the regret."""
        _, history = play(test.key, test.tasks, agent, model, index)
        assert history.gap is not None  # for type checkers
        tokens, regret = encode(tokenizer, history), history.gap.sum()
        return jnp.concatenate([tokens.min(0), tokens.max(0), regret[None]])

    with jax.enable_x64(True):
        family, algorithm, tokenizer = _setting(config)
        constructions, depths_of = {}, {}
        test = study.Evaluation(config, family.split().test)

        def score(agents, at_once=500):
            whose = test.key, test.tasks, agents, measure
            return score_agents(*whose, config.num_tasks, at_once)

        scores = score({"linucb": algorithm})
        for scheme in config.schemes:
            newton = scheme == NEWTON_SCHULZ
            depths = config.played_newton_schulz if newton else config.played
            depths_of[scheme] = [d for d in depths if d <= getattr(config, scheme)]
            agents = {}
            for depth in depths_of[scheme]:
                made = _construction(config, family, scheme, depth)
                constructions[f"{scheme}_{depth}"] = made
                agents[f"{scheme}_{depth}"] = written(made, tokenizer)
            if agents:
                shared = newton or scheme == "chebyshev"
                at_once = 500 if shared else few_at_once()
                scores = scores.join(score(agents, at_once))
    for agent, made in constructions.items():
        require_limits(made, scores[agent][..., :-1].reshape(-1, len(made.limits)))
    numbers = Numbers(finals={"regret/tasks_hash": scores.tasks_hash})
    target = scores["linucb"][..., -1]
    add_row(numbers, "regret", "linucb", "final_regret", target, scores)
    for scheme, depths in depths_of.items():
        gaps = []
        for depth in depths:
            agent = f"{scheme}_{depth}"
            gap = scores[agent][..., -1] - target
            add_row(numbers, "regret", agent, "final_regret_minus_linucb", gap, scores)
            row = numbers.rows[-1]
            gaps.append([row["mean"], row["low"], row["high"]])
        if depths:
            numbers.arrays[f"regret/{scheme}/depths"] = np.array(depths)
            numbers.arrays[f"regret/{scheme}/gap"] = np.array(gaps)
    return numbers


def _setting(config: Config):
    """The bandits, LinUCB, and what its transformer reads."""
    from icrl.theory.settings import soft_linucb

    sizes = config.horizon, config.num_arms, config.dim
    return soft_linucb(*sizes, temperature=config.temperature)


def _construction(config: Config, family, scheme: str, depth: int):
    """LinUCB by a scheme, in so many layers."""
    from icrl.theory.linucb import linucb

    return linucb(family, scheme=scheme, depth=depth, temperature=config.temperature)


CPU = Config().takes("75 min of one core")
SMOKE = {
    "num_histories": 2,
    "num_tasks": 2,
    "num_arms": 3,
    "dim": 2,
    "schemes": (NEWTON_SCHULZ, "chebyshev"),
    "newton_schulz": 7,
    "chebyshev": 30,
    "every": 2,
    "played": (5,),
    "played_newton_schulz": (5,),
}
EXPERIMENT = study.experiment(
    __name__, run, PANELS, cpu=CPU, smoke=SMOKE, columns=3, figure_name="depth"
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
