"""Where in a transformer do the quantities of the theorems stand?

A linear map is fitted from the stream behind each layer to what LinUCB and UCB-VI know:
the parameter θ = A⁻¹ b, the vectors A⁻¹ a of all arms, the bonuses; how often each
state and action was met, and its bonus. On other tasks, R² says how much of them can be
read off. In constructed transformers it is 1 from the layer on that calculates them. In
a trained one it shows whether it knows them at all: it must play alike, and need not
calculate alike.

Histories are those of the algorithm; a model that was trained on UCB-VI reads its own,
and its UCB-VI counts states and actions whatever the step. Half of the tasks are to
fit, half to judge; there are no intervals.

Over 300 lines: what is read of two algorithms and four models is one measurement.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Section 4, for the quantities; the
comparison is ours.
Command: icrl run theory_probe cpu
Cost: 40 minutes of one core.
Expect: by Newton-Schulz θ and A⁻¹ a are there from layer 28 of 29 on (R² 0.1 to 0.2
before), and bonuses in the last; by gradient descent R² of θ grows layer by layer, and
passes 0.99 at layer 60 of 101. The trained transformer of three layers imitates LinUCB
without them: 0.47 of θ at most, 0.53 of the bonuses, nothing of A⁻¹ a. In UCB-VI counts
and bonuses are there from layer 3 of 17 on.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

from icrl import cli, study
from icrl.config import ExperimentConfig
from icrl.drawing.depths import draw_readouts
from icrl.panels import Drawing

CLEAR = 0.99  # R² from which on a quantity is said to stand there
PANELS = [
    Drawing(
        name=name,
        title=title,
        function=functools.partial(draw_readouts, panel=name),
    )
    for name, title in (
        ("parameter", "LinUCB: θ"),
        ("solved", "LinUCB: A⁻¹ a of every arm"),
        ("bonus", "LinUCB: bonuses"),
        ("count", "UCB-VI: how often state and action were met"),
        ("count_bonus", "UCB-VI: bonuses"),
    )
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment."""

    num_tasks: int = 320  # half of them to fit, half to judge
    num_mdps: int = 200  # of UCB-VI, likewise
    every: int = 10  # every how many decisions of a bandit's history one is taken
    every_of_mdp: int = 7  # of an MDP's; no factor of the steps
    depth: int = 29  # layers of the Newton-Schulz LinUCB
    accelerated_depth: int = 101  # of the accelerated one
    every_layer: int = 5  # of its layers, which are read
    horizon: int = 200  # pulls of a bandit
    num_arms: int = 10  # of a bandit
    dim: int = 5  # of an arm's features
    states: int = 5  # of an MDP
    actions: int = 3  # in each of its states
    steps: int = 5  # of an episode
    num_episodes: int = 50  # that are played in an MDP
    # folder of a run whose model was trained on LinUCB's actions; None: none stands
    # beside the constructions
    trained: str | None = "results/lin_linear_bandit/reference-cpu"
    # the same for UCB-VI, of `ucbvi_distillation`
    trained_mdp: str | None = None

    def __post_init__(self):
        super().__post_init__()
        if math.gcd(self.every_of_mdp, self.steps) > 1:
            raise ValueError(
                f"every_of_mdp must share no factor with steps {self.steps}, or only "
                f"some steps are read, got {self.every_of_mdp}"
            )
        least = {"every": 1, "every_layer": 1, "num_tasks": 4, "num_mdps": 4}
        for name, limit in least.items():
            if (value := getattr(self, name)) < limit:
                raise ValueError(f"{name} must be at least {limit}, got {value}")


class Probe(NamedTuple):
    """A model, and whose histories it reads."""

    agent: Any  # one model
    family: Any
    tokenizer: Any
    player: Any
    known: Any  # (family, trajectory) -> what is known at each decision
    every: int  # every how many decisions of a history one is taken
    layer_step: int = 1  # every how many layers of a stack it is read
    limits: Any = None  # of a construction, which its features must keep


def run(run, config: Config):
    """Reads every model, layer by layer."""
    del run
    linucb = functools.cache(functools.partial(_of_linucb, config))
    ucb_vi = functools.cache(functools.partial(_of_ucb_vi, config))
    shown = {name: linucb for name in ("parameter", "solved", "bonus")}
    shown |= {name: ucb_vi for name in ("count", "count_bonus")}
    return {
        name: functools.partial(_numbers, name, table) for name, table in shown.items()
    }


def _numbers(panel: str, table):
    """Rows of the last layer and the first clear one, and what every layer says."""
    import numpy as np

    from icrl.evaluation.numbers import Numbers, add_estimate

    numbers = Numbers()
    for agent, (layers, found, tasks) in table().items():
        values, known = np.array(found[panel]), {"seeds": 0, "tasks": tasks}
        shown = {"explained_at_end": values[-1]}
        there = np.flatnonzero(values > CLEAR)
        if len(there):
            shown["clear_from_layer"] = layers[there[0]]
        for metric, value in shown.items():
            add_estimate(numbers, panel, agent, metric, [value] * 3, **known)
        numbers.arrays[f"{panel}/{agent}/layers"] = np.array(layers)
        numbers.arrays[f"{panel}/{agent}/explained"] = values
    return numbers


def _of_linucb(config: Config):
    """What each layer of each LinUCB says."""
    import jax

    from icrl.theory.agents import written
    from icrl.theory.linucb import linucb
    from icrl.theory.settings import soft_linucb

    with jax.enable_x64(True):
        family, algorithm, tokenizer = soft_linucb(
            config.horizon, config.num_arms, config.dim
        )
        schemes = {
            "linucb_newton_schulz": ("newton_schulz", config.depth, 1),
            "linucb_accelerated": (
                "accelerated",
                config.accelerated_depth,
                config.every_layer,
            ),
        }
        probes = {}
        for name, (scheme, depth, step) in schemes.items():
            made = linucb(family, scheme=scheme, depth=depth)
            agent, how = written(made, tokenizer), (_known_to_linucb, config.every)
            whose = family, tokenizer, algorithm
            probes[name] = Probe(agent, *whose, *how, step, made)
        if config.trained is not None:
            agent, loaded = _trained(config.trained)
            whose = loaded.family, loaded.tokenizer, algorithm
            how = _known_to_linucb, config.every
            probes["transformer"] = Probe(agent, *whose, *how)
        return _explained(config, probes, config.num_tasks)


def _known_to_linucb(family, played):
    """Theta, A⁻¹ a and the bonuses before each decision."""
    import jax

    from icrl.algorithms.posteriors.ridge import ridge_before, ridge_norms

    features = jax.vmap(family.features)(played.obs)
    arms = jax.vmap(lambda shown, action: shown[action])(features, played.action)
    before = ridge_before(arms, played.timestep.reward, 1.0)
    inverse = before.root @ before.root.swapaxes(1, 2)
    return {
        "parameter": before.theta_hat,
        "solved": (features @ inverse).reshape(len(features), -1),
        "bonus": jax.vmap(ridge_norms)(before, features),
    }


def _of_ucb_vi(config: Config):
    """What each layer of each UCB-VI says."""
    import jax

    from icrl.theory.agents import written
    from icrl.theory.settings import soft_ucb_vi
    from icrl.theory.ucb_vi import ucb_vi

    with jax.enable_x64(True):
        sizes = config.states, config.actions, config.steps, config.num_episodes
        family, algorithm, tokenizer = soft_ucb_vi(*sizes)
        made = ucb_vi(family, num_episodes=config.num_episodes)
        agent = written(made, tokenizer)
        every = config.every_of_mdp
        of_cells, of_pairs = (
            functools.partial(_known_to_ucb_vi, per_step) for per_step in (True, False)
        )
        whose = family, tokenizer, algorithm
        probe = Probe(agent, *whose, of_cells, every, limits=made)
        probes = {"ucbvi_constructed": probe}
        if config.trained_mdp is not None:
            agent, loaded = _trained(config.trained_mdp, "ad_transformer")
            whose = loaded.family, loaded.tokenizer, agent
            probes["ad_transformer"] = Probe(agent, *whose, of_pairs, every)
        return _explained(config, probes, config.num_mdps, config.num_episodes)


def _known_to_ucb_vi(per_step: bool, family, played):
    """How often each cell was met in earlier episodes, and 1 / √ of it, as its bonus.

    A cell is a state and an action, and with `per_step` the step of the episode.
    """
    import jax.numpy as jnp

    cells, cell = family.observation.n * family.num_actions, played.obs
    cell = cell * family.num_actions + played.action
    if per_step:
        step = jnp.arange(len(cell)) % family.horizon
        cells, cell = cells * family.horizon, step * cells + cell
    met = (cell[:, None] == jnp.arange(cells)[None]).astype(float)
    episodes = met.reshape(-1, family.horizon, cells).sum(1)
    before = jnp.cumsum(episodes, axis=0) - episodes
    count = jnp.repeat(before, family.horizon, axis=0)
    return {"count": count, "count_bonus": 1 / jnp.sqrt(jnp.maximum(count, 1.0))}


def _trained(folder: str, which: str = ""):
    """The first model of a run as an agent, and what was loaded."""
    import jax

    from icrl.agents import load_agent

    loaded = load_agent(folder, which)
    agent = loaded.agent()
    first = jax.tree.map(lambda leaf: leaf[:1], agent.models)
    return agent._replace(models=first), loaded


def _explained(config: Config, probes, num_tasks: int, num_episodes: int = 1):
    """(layers, R² of each quantity at each layer, tasks) of every model."""
    import numpy as np

    from icrl.diagnostics.probe import explained
    from icrl.evaluation import over_seeds_and_tasks
    from icrl.theory.compiler import require_limits

    found = {}
    for name, probe in probes.items():
        layers: list[int] = []
        read = functools.partial(_read, config, probe, num_episodes, layers)
        streams, sought, tokens = over_seeds_and_tasks(
            probe.agent, read, num_tasks, num_tasks
        )
        if probe.limits is not None:
            require_limits(probe.limits, np.asarray(tokens))
        streams = np.asarray(streams[0], np.float64)
        values = {x: np.asarray(y[0], np.float64) for x, y in sought.items()}
        each = [explained(streams[:, at], values) for at in range(len(layers))]
        table = {quantity: [one[quantity] for one in each] for quantity in values}
        found[name] = layers, table, num_tasks
    return found


def _read(config: Config, probe: Probe, num_episodes: int, layers, model, index):
    """Streams [layers, decisions, width] of one history, what is known, its tokens."""
    import jax.numpy as jnp

    from icrl.agents import as_agent
    from icrl.evaluation import play
    from icrl.theory.depth import at_every_depth
    from icrl.tokenizers.encoding import decisions, encode

    test = study.Evaluation(config, probe.family.split().test)
    player, how = as_agent(probe.player), {"num_episodes": num_episodes}
    chosen = model if player.models is not None else None
    _, played = play(test.key, test.tasks, player, chosen, index, **how)
    tokens, step = encode(probe.tokenizer, played), probe.layer_step

    def taken(stream):
        return decisions(probe.tokenizer, stream)[:-1][:: probe.every]

    layers[:], streams = at_every_depth(model, tokens, taken, tail=0, every=step)
    known = probe.known(probe.family, played).items()
    sought = {name: x[:: probe.every] for name, x in known}
    return streams.astype(jnp.float32), sought, tokens


CPU = Config().takes("40 min of one core")
SMOKE = {
    "num_tasks": 4,
    "num_mdps": 4,
    "num_arms": 3,
    "dim": 2,
    "depth": 5,
    "accelerated_depth": 5,
    "every_layer": 2,
    "every": 1,
    "every_of_mdp": 1,
    "states": 2,
    "actions": 2,
    "steps": 2,
    "num_episodes": 3,
    "trained": None,
    "trained_mdp": None,
}
EXPERIMENT = study.experiment(
    __name__, run, PANELS, cpu=CPU, smoke=SMOKE, columns=3, figure_name="readouts"
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
