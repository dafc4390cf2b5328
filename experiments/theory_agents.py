"""Do the theorems' transformers play as the algorithms that they are made from?

The theory says that a transformer with ReLU attention can run LinUCB, Thompson sampling
and UCB-VI in context. Here are such transformers, with weights that were written and
not trained. They play beside their algorithms on the same tasks, with the same noise
and, where the algorithm chooses by one draw as they do, the same draws: soft LinUCB by
Newton-Schulz iterations (29 layers) and by accelerated gradient descent (as in the
proof), linear Thompson sampling that reads its draw in the token (by our root, and in a
smaller bandit by the proof's), the same by 512 nodes without a draw, Bernoulli Thompson
sampling by a quadrature, and soft UCB-VI, all in float64. A transformer that was
trained on LinUCB's actions stands beside them.

Over 300 lines: seven settings, each with its algorithm and its constructions.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Section 4, where nothing is built; what
differs from its proofs is said in `icrl/theory/`.
Command: icrl run theory_agents cpu
Cost: 50 minutes of one core.
Expect: actions identical to the algorithm's by Newton-Schulz (total variation 1e-4 at
most, regret 37.4 of 100 bandits), by accelerated gradient descent (2.5e-4), with a draw
in the token by either root (regret 51.3; 13.5 in the smaller bandit), and of UCB-VI
(59.8 of 20 MDPs; log probabilities within 2e-9, 99 % of values below the clip). Without
a draw: 0.015 on average and 0.048 at most for 512 nodes, 6e-5 and 4e-4 for Bernoulli
bandits. The trained transformer pays 33.9, no less than LinUCB for sure (-3.5 ± 4.9).
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

from icrl import cli, study
from icrl.config import ExperimentConfig
from icrl.panels import Curves, Rows

PANELS = [
    Curves(name="linucb", title="regret: soft LinUCB", reference="linucb", ideal=False),
    Curves(
        name="linucb_accelerated",
        title="regret: soft LinUCB, as in the proof",
        reference="linucb",
        ideal=False,
    ),
    Curves(
        name="thompson",
        title="regret: linear Thompson sampling",
        reference="linear_thompson",
    ),
    Curves(
        name="thompson_pade",
        title="regret: linear Thompson sampling, root of the proof",
        reference="linear_thompson",
    ),
    Curves(
        name="thompson_nodes",
        title="regret: linear Thompson sampling, no draw",
        reference="linear_thompson",
    ),
    Curves(
        name="bernoulli",
        title="regret: Bernoulli Thompson sampling",
        reference="thompson_sampling",
    ),
    Curves(
        name="ucb_vi",
        title="regret: soft UCB-VI",
        reference="ucb_vi",
        xlabel="steps of the environment",
    ),
    *(
        Rows(name=f"{name}_fidelity")
        for name in (
            "linucb",
            "linucb_accelerated",
            "thompson",
            "thompson_pade",
            "thompson_nodes",
            "bernoulli",
            "ucb_vi",
        )
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment."""

    num_tasks: int = 100  # bandits that each agent plays
    num_mdps: int = 20  # that each agent plays
    num_checked: int = 2  # histories on which heads are looked at
    horizon: int = 200  # pulls
    num_arms: int = 10  # of a bandit
    dim: int = 5  # of an arm's features
    depth: int = 29  # layers of the Newton-Schulz LinUCB
    accelerated_depth: int = 301  # of the accelerated one
    temperature: float = 0.05  # of soft LinUCB
    pade_dim: int = 2  # of features, where the root is that of the proof
    pade_horizon: int = 50  # pulls there
    pade_terms: int = 10  # of its approximation
    pade_layers: int = 150  # of each of its two descents
    num_slow_tasks: int = 20  # bandits of the slow ones: accelerated, nodes, Bernoulli
    num_nodes: int = 512  # of linear Thompson sampling that draws nothing
    num_bernoulli_arms: int = 5  # of a Bernoulli bandit
    num_bernoulli_nodes: int = 64  # of the quadrature there
    states: int = 5  # of an MDP
    actions: int = 3  # in each of its states
    steps: int = 5  # of an episode
    num_episodes: int = 50  # that are played in an MDP
    # folder of a run whose model was trained on LinUCB's actions; None: none stands
    # beside them
    trained: str | None = "results/lin_linear_bandit/reference-cpu"


def run(run, config: Config):
    """Builds every transformer, and plays it beside its algorithm."""
    del run
    found = {}
    for panel, make in SETTINGS.items():
        rows = f"{panel}_fidelity"
        # played once, when the first of both is asked for
        measure = functools.cache(functools.partial(_measure, config, make, rows))
        found[panel] = functools.partial(_regret, measure)
        found[rows] = functools.partial(_rows, measure)
    return found


class Played(NamedTuple):
    """An algorithm, and the transformers that play it."""

    setting: Any
    name: str  # of the algorithm
    constructions: dict[str, Any]
    num_tasks: int
    num_episodes: int = 1
    at_once: int = 500  # tasks side by side; bounds memory
    noise: int = 0  # normal numbers that end a token
    coupled: bool = True  # whether both choose alike by the same draw
    least: float = 0.0  # probability below which the transformers promise nothing
    others: dict[str, Any] | None = None  # who plays beside them
    cap: float = math.inf  # at which values are clipped


def _regret(measure):
    """Regret of the transformers, and of what they are made from."""
    scores, _ = measure()
    return scores


def _rows(measure):
    """Rows of how exactly the transformers play."""
    _, numbers = measure()
    return numbers


def _measure(config: Config, make, panel: str):
    """Regret and rows of one setting, on features within the transformers' limits."""
    import jax

    from icrl.diagnostics.fidelity import fidelity
    from icrl.evaluation.numbers import add_estimate
    from icrl.theory.agents import written
    from icrl.theory.compiler import require_limits

    with jax.enable_x64(True):
        played = make(config)
        setting = played.setting
        agents = {
            name: written(made, setting.tokenizer, noise=played.noise)
            for name, made in played.constructions.items()
        }
        test = study.Evaluation(config, setting.family.split().test)
        sizes = {"num_tasks": played.num_tasks, "num_episodes": played.num_episodes}
        numbers, scores, seen = fidelity(
            test.key,
            test.tasks,
            panel,
            agents,
            setting.algorithm,
            setting.tokenizer,
            probabilities=not played.noise,
            coupled=played.coupled,
            least=played.least,
            tasks_at_once=played.at_once,
            **sizes,
        )
        for name, agent in agents.items():
            inside = _looked_at(test, played, name, agent)
            for metric, value in inside.items():
                known = {"seeds": 0, "tasks": config.num_checked}
                add_estimate(numbers, panel, name, metric, [value] * 3, **known)
            if not (worst := inside["highest_other_score"]) <= 0:  # NaN is none
                raise ValueError(
                    f"a head of {name!r} must score no token above 0 that it leaves "
                    f"out, got {worst}"
                )
        others = {**(played.others or {}), played.name: setting.algorithm}
        scores = scores.join(test.online(others, **sizes))
    for name, made in played.constructions.items():
        require_limits(made, seen[name])
    return scores, numbers


def _looked_at(test, played: Played, name: str, agent) -> dict[str, float]:
    """What holds inside a transformer, on a few histories of the algorithm.

    `highest_other_score` of heads that see their own token alone. `below_clip`, the
    share of values below the clip, if there is one: were all clipped, play would be
    uniform, and a match would say nothing.
    """
    import jax
    import jax.numpy as jnp

    from icrl.agents import as_agent
    from icrl.evaluation import over_seeds_and_tasks, play
    from icrl.theory.compiler import highest_other_score
    from icrl.theory.ucb_vi import share_below_clip
    from icrl.tokenizers.encoding import encode

    tokenizer, made = played.setting.tokenizer, played.constructions[name]
    target, episodes = as_agent(played.setting.algorithm), played.num_episodes

    def look(model, index):
        _, history = play(
            test.key, test.tasks, target, None, index, num_episodes=episodes
        )
        tokens = encode(tokenizer, history)
        if played.noise:  # another draw than the history's; none where none is decided
            shape = len(tokens), played.noise
            drawn = jax.random.normal(jax.random.fold_in(test.key, index), shape)
            tokens = jnp.concatenate([tokens, drawn.at[1::2].set(0.0)], axis=1)
        found = {"highest_other_score": highest_other_score(model, tokens)}
        if played.cap < math.inf:
            share = share_below_clip(made, model, tokenizer, tokens, played.cap)
            found["below_clip"] = share
        return found

    found = over_seeds_and_tasks(agent, look, test.config.num_checked, 1)
    joined = {"highest_other_score": jnp.max, "below_clip": jnp.mean}
    return {metric: float(joined[metric](values)) for metric, values in found.items()}


def _linucb(config: Config):
    made, by = _of_linucb(config, "linucb_newton_schulz", "newton_schulz", config.depth)
    return Played(made, "linucb", by, config.num_tasks, others=_trained(config))


def _linucb_accelerated(config: Config):
    from icrl.theory.depth import few_at_once

    depth = config.accelerated_depth
    made, by = _of_linucb(config, "linucb_accelerated", "accelerated", depth)
    return Played(made, "linucb", by, config.num_slow_tasks, at_once=few_at_once())


def _of_linucb(config: Config, name: str, scheme: str, depth: int):
    """The setting of soft LinUCB, and a construction by name."""
    from icrl.theory.linucb import linucb
    from icrl.theory.settings import soft_linucb

    soft = {"temperature": config.temperature}
    setting = soft_linucb(*_sizes(config), **soft)
    made = linucb(setting.family, scheme=scheme, depth=depth, **soft)
    return setting, {name: made}


def _thompson(config: Config):
    return _of_a_draw(config, "thompson_noise_token", *_sizes(config))


def _thompson_pade(config: Config):
    sizes = config.pade_horizon, config.num_arms, config.pade_dim
    how = {"terms": config.pade_terms, "descent_layers": config.pade_layers}
    return _of_a_draw(config, "thompson_pade", *sizes, scheme="pade", **how)


def _of_a_draw(config: Config, name, horizon, arms, dim, **how):
    """Linear Thompson sampling whose draw stands in the token."""
    from icrl import algorithms
    from icrl.theory.linear_thompson import linear_thompson
    from icrl.theory.settings import soft_linucb

    setting = soft_linucb(horizon, arms, dim)
    family = setting.family
    algorithm = algorithms.linear_thompson(family, root="symmetric", prior_variance=1.0)
    return Played(
        setting._replace(algorithm=algorithm),
        "linear_thompson",
        {name: linear_thompson(family, **how)},
        config.num_tasks,
        noise=dim,
    )


def _thompson_nodes(config: Config):
    from icrl import algorithms
    from icrl.theory.linear_thompson import LEAST_SHARE, linear_thompson
    from icrl.theory.settings import soft_linucb

    setting = soft_linucb(*_sizes(config))
    family = setting.family
    algorithm = algorithms.linear_thompson(family, prior_variance=1.0)
    return Played(
        setting._replace(algorithm=algorithm),
        "linear_thompson",
        {"thompson_nodes": linear_thompson(family, num_nodes=config.num_nodes)},
        config.num_slow_tasks,
        coupled=False,  # one draws a parameter, the other an arm
        least=LEAST_SHARE,
    )


def _bernoulli(config: Config):
    import envs
    from icrl import algorithms
    from icrl.theory.bernoulli_thompson import LEAST_LOG, bernoulli_thompson
    from icrl.theory.settings import Setting
    from icrl.tokenizers.interleaved import interleaved

    family = envs.family(
        "BernoulliBandit-Lin2023-v0",
        horizon=config.horizon,
        num_arms=config.num_bernoulli_arms,
    )
    algorithm = algorithms.thompson_sampling(family)
    made = bernoulli_thompson(family, num_nodes=config.num_bernoulli_nodes)
    return Played(
        Setting(family, algorithm, interleaved(family)),
        "thompson_sampling",
        {"bernoulli_constructed": made},
        config.num_slow_tasks,
        coupled=False,
        least=math.exp(LEAST_LOG),
    )


def _ucb_vi(config: Config):
    from icrl.theory.settings import soft_ucb_vi
    from icrl.theory.ucb_vi import ucb_vi

    sizes, episodes = (config.states, config.actions, config.steps), config.num_episodes
    setting = soft_ucb_vi(*sizes, episodes)
    constructions = {"ucbvi_constructed": ucb_vi(setting.family, num_episodes=episodes)}
    return Played(
        setting,
        "ucb_vi",
        constructions,
        config.num_mdps,
        episodes,
        cap=float(config.steps),  # the most that an episode can pay
    )


SETTINGS = {
    "linucb": _linucb,
    "linucb_accelerated": _linucb_accelerated,
    "thompson": _thompson,
    "thompson_pade": _thompson_pade,
    "thompson_nodes": _thompson_nodes,
    "bernoulli": _bernoulli,
    "ucb_vi": _ucb_vi,
}


def _sizes(config: Config):
    """Of the linear bandits."""
    return config.horizon, config.num_arms, config.dim


def _trained(config: Config):
    """The model that learnt LinUCB's actions, by name."""
    from icrl.agents import load_agent

    if config.trained is None:
        return {}
    return {"transformer": load_agent(config.trained).agent()}


CPU = Config().takes("50 min of one core")
SMOKE = {
    "num_tasks": 4,
    "num_mdps": 2,
    "num_arms": 3,
    "dim": 2,
    "depth": 7,
    "accelerated_depth": 4,
    "pade_horizon": 4,
    "pade_terms": 2,
    "pade_layers": 4,
    "num_slow_tasks": 2,
    "num_nodes": 8,
    "num_bernoulli_arms": 2,
    "num_bernoulli_nodes": 8,
    "states": 2,
    "actions": 2,
    "steps": 2,
    "num_episodes": 3,
    "trained": None,
}
EXPERIMENT = study.experiment(__name__, run, PANELS, cpu=CPU, smoke=SMOKE, columns=3)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
