"""Do the theorems' transformers play as the algorithms that they are made from?

The theory says that a transformer with ReLU attention can run LinUCB, Thompson sampling
and UCB-VI in context. Here are such transformers, with weights that were written and
not trained. They play beside their algorithms on the same tasks, with the same noise
and the same draws: soft LinUCB by Newton-Schulz iterations (29 layers) and by
accelerated gradient descent (as in the proof), linear Thompson sampling that reads its
draw in the token, and soft UCB-VI. A transformer that was trained on LinUCB's actions
stands beside them. All of it is in float64.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Section 4, where nothing is built; what
differs from its proofs is said in `icrl/theory/`.
Command: icrl run theory_agents cpu
Cost: (an estimate) 30 minutes on 2 cores.
Expect: (no reference run yet).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from icrl import cli, study
from icrl.config import ExperimentConfig
from icrl.panels import Curves, Rows

BANDIT = "LinearBandit-Lin2023-v0"
PANELS = [
    Curves(name="linucb", title="regret: soft LinUCB", reference="linucb"),
    Curves(
        name="thompson",
        title="regret: linear Thompson sampling",
        reference="linear_thompson",
    ),
    Curves(
        name="ucb_vi",
        title="regret: soft UCB-VI",
        reference="ucb_vi",
        xlabel="steps of the environment",
    ),
    Rows(name="linucb_fidelity"),
    Rows(name="thompson_fidelity"),
    Rows(name="ucb_vi_fidelity"),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment."""

    num_tasks: int = 100  # bandits that each agent plays
    num_mdps: int = 20  # that each agent plays
    horizon: int = 200  # pulls
    num_arms: int = 10  # of a bandit
    dim: int = 5  # of an arm's features
    depth: int = 29  # layers of the Newton-Schulz LinUCB
    accelerated_depth: int = 301  # of the accelerated one
    temperature: float = 0.05  # of soft LinUCB
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
    for panel, setting in SETTINGS.items():
        found[panel] = functools.partial(_online, config, setting)
        measured = f"{panel}_fidelity"
        found[measured] = functools.partial(_fidelity, config, setting, measured)
    return found


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, with numbers of 64 bits."""

    @functools.wraps(function)
    def run(*arguments):
        import jax

        with jax.enable_x64(True):
            return function(*arguments)

    return run


@in_float64
def _online(config: Config, setting):
    """Regret of the transformers, and of what they are made from."""
    family, target, models, options = setting(config)
    name, algorithm = target
    others = _trained(config) if name == "linucb" else {}
    number = config.num_mdps if name == "ucb_vi" else config.num_tasks
    test = study.Evaluation(config, family.split().test)
    agents = {**models, **others, name: algorithm}
    return test.online(agents, num_tasks=number, **options)


@in_float64
def _fidelity(config: Config, setting, panel: str):
    """Rows of how exactly the transformers play."""
    from icrl.diagnostics.fidelity import fidelity

    family, (name, algorithm), models, options = setting(config)
    number = config.num_mdps if name == "ucb_vi" else config.num_tasks
    test = study.Evaluation(config, family.split().test)
    return fidelity(
        test.key,
        test.tasks,
        panel,
        models,
        algorithm,
        num_tasks=number,
        probabilities=name != "linear_thompson",
        **options,
    )


def _linucb(config: Config):
    from icrl import algorithms
    from icrl.theory.linucb import linucb
    from icrl.tokenizers.interleaved_features import interleaved_features

    family, soft = _bandit(config), {"temperature": config.temperature}
    algorithm = algorithms.linucb(family, width=2.0, first="index", **soft)
    tokenizer = interleaved_features(family)
    depths = {
        "linucb_newton_schulz": ("newton_schulz", config.depth),
        "linucb_accelerated": ("accelerated", config.accelerated_depth),
    }
    models = {
        name: _agent(linucb(family, scheme=scheme, depth=depth, **soft), tokenizer)
        for name, (scheme, depth) in depths.items()
    }
    return family, ("linucb", algorithm), models, {}


def _thompson(config: Config):
    from icrl import algorithms
    from icrl.theory.linear_thompson import linear_thompson
    from icrl.tokenizers.interleaved_features import interleaved_features

    family = _bandit(config)
    algorithm = algorithms.linear_thompson(family, root="symmetric", prior_variance=1.0)
    agent = _agent(
        linear_thompson(family), interleaved_features(family), noise=config.dim
    )
    models = {"thompson_noise_token": agent}
    return family, ("linear_thompson", algorithm), models, {}


def _ucb_vi(config: Config):
    from envs.random_mdp import RandomMDPFamily
    from icrl import algorithms
    from icrl.theory.ucb_vi import ucb_vi
    from icrl.tokenizers.interleaved_ended import interleaved_ended

    family = RandomMDPFamily(
        states=config.states,
        actions=config.actions,
        horizon=config.steps,
        reward_prior="uniform",
        reward_location=0.0,
        noise_std=0.0,
    )
    episodes, scale = config.num_episodes, 0.025  # Lin et al. have 1: see the module
    algorithm = algorithms.ucb_vi(
        family,
        bonus="lin2023",
        scale=scale,
        delta=1 / (config.steps * episodes),
        num_episodes=episodes,
        monotone=False,
        counts_per_step=True,
        temperature=1 / episodes,
    )
    made = ucb_vi(family, num_episodes=episodes, scale=scale)
    models = {"ucbvi_constructed": _agent(made, interleaved_ended(family))}
    return family, ("ucb_vi", algorithm), models, {"num_episodes": episodes}


SETTINGS = {"linucb": _linucb, "thompson": _thompson, "ucb_vi": _ucb_vi}


def _bandit(config: Config):
    import envs

    return envs.family(
        BANDIT, horizon=config.horizon, num_arms=config.num_arms, dim=config.dim
    )


def _agent(construction, tokenizer, noise: int = 0):
    """The agent that plays a construction, whose model has an axis of one seed."""
    import jax

    from icrl.agents import Agent, trained
    from icrl.agents.in_context import in_context
    from icrl.theory.compiler import build

    models = jax.tree.map(lambda leaf: leaf[None], build(construction))
    if not noise:
        return trained(models, tokenizer)._replace(written=True)

    def make(model, task):
        del task
        return in_context(model, tokenizer, greedy=True, noise=noise)

    return Agent(make, models, written=True)


def _trained(config: Config):
    """The model that learnt LinUCB's actions, by name."""
    from icrl.agents import load_agent

    if config.trained is None:
        return {}
    return {"transformer": load_agent(config.trained).agent()}


CPU = Config().takes("30 min on 2 cores")
SMOKE = {
    "num_tasks": 4,
    "num_mdps": 2,
    "num_arms": 3,
    "dim": 2,
    "depth": 7,
    "accelerated_depth": 4,
    "states": 2,
    "actions": 2,
    "steps": 2,
    "num_episodes": 3,
    "trained": None,
}
EXPERIMENT = study.experiment(__name__, run, PANELS, cpu=CPU, smoke=SMOKE)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
