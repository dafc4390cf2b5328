"""Can a transformer distil UCB-VI on random MDPs, and does DPT do better than that?

Random MDPs of 5 states, 3 actions and 5 steps, 50 episodes each. One transformer is
trained on the actions of UCB-VI (AD), the other on optimal actions along the histories
of posterior sampling and of uniform play (DPT). Both read one token a step through all
of a life, with the whole transition and the step of the episode, and are then played in
unseen MDPs beside UCB-VI, PSRL and the optimal policy, with exact regret.

UCB-VI as published plays like uniform for the first 50 episodes here, and to imitate it
would prove nothing. Ours differs in three ways: its bonus is scaled down to what serves
it best (the panel `bonus` shows the choice); Q is capped by what is left of the episode
and not by the whole, or all that is untried looks alike; and Q may rise again, as the
minimum over earlier plans is a bound only where the bonus is wide. It leaves out the
state that follows the last step of an episode, which the tokens do not show either.

Source: the theory of Lin, Bai and Mei 2023, arXiv 2310.08566, Section 4.3, which has no
experiment; UCB-VI is that of Azar et al. 2017, arXiv 1703.05449. The MDPs are ours.
PSRL believes in normal mean rewards with the mean and variance of the uniform law.
Command: icrl run ucbvi_distillation cpu
Cost: about 30 minutes on 2 free cores (cpu, 2 models of 1 training seed).
Expect (cpu): regret 8.7 of UCB-VI, 10.0 of the transformer that imitates it (+14 %) and
7.6 of DPT, below PSRL's 8.5; uniform play pays 65. With tokens as RL² writes them,
without the state that was left, AD ended at 33.
"""

import dataclasses

from icrl import cli
from icrl.config import (
    SMOKE_MODEL,
    SMOKE_TRAINING,
    DecisionPretrainingConfig,
    ExperimentConfig,
    TrainingConfig,
    TransformerConfig,
    cosine_training,
)
from icrl.experiment import Experiment, register

FAMILY = "RandomMDP-Small-v0"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Sizes of the experiment.

    Raises:
        ValueError: if the bonus of the expert is not among those compared.
    """

    num_episodes: int = 50
    bonus_scale: float = 3e-4  # of the UCB-VI that is distilled
    bonus_scales: tuple[float, ...] = (0.0, 1e-4, 3e-4, 1e-3, 3e-3, 1.0)
    model: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)
    training: TrainingConfig
    pretraining: DecisionPretrainingConfig = dataclasses.field(
        default_factory=DecisionPretrainingConfig
    )
    num_tasks: int = 2000

    def __post_init__(self):
        super().__post_init__()
        if self.bonus_scale not in self.bonus_scales:
            raise ValueError(
                f"bonus_scale must be one of bonus_scales {self.bonus_scales}, "
                f"got {self.bonus_scale}"
            )


def run(run, config: Config) -> None:
    """Trains both transformers and plays them beside the algorithms."""
    from icrl import algorithms, evaluation
    from icrl.agents import Recipe
    from icrl.evaluation import panels
    from icrl.keys import evaluation_key
    from icrl.pretraining import dataset, methods
    from icrl.training import train_models

    recipe = Recipe(
        family=FAMILY,
        num_episodes=config.num_episodes,
        tokenizer="step_whole",
        model=config.model,
    )
    family = recipe.make_family()
    ucb_vi = _ucb_vi(family, config, config.bonus_scale)
    psrl = algorithms.psrl(family, prior=_prior(family))
    data = algorithms.mixture([psrl, algorithms.uniform(family)], [0.5, 0.5])
    choices = {
        "ad_transformer": methods.algorithm_distillation(
            recipe,
            ucb_vi,
            config.pretraining,
            behaviour=f"ucb_vi(scale={config.bonus_scale})",
        ),
        "dpt": methods.decision_pretraining(
            recipe,
            lambda task: data,
            config.pretraining,
            behaviour="psrl (0.5), uniform",
        ),
    }
    dataset.check(*choices.values())
    agents, learned, tokens = {}, {}, 0
    for name, pretraining in choices.items():
        trained = train_models(run, recipe, pretraining, config.training, name=name)
        for suffix, greedy in (("", False), ("_argmax", True)):
            agents[name + suffix] = evaluation.trained(
                trained.models, pretraining.tokenizer, greedy=greedy
            )
            learned[name + suffix] = len(trained.seeds)
        tokens += trained.train_tokens
    agents |= {
        "ucb_vi": evaluation.fixed(ucb_vi),
        "psrl": evaluation.fixed(psrl),
        "posterior_mean_greedy": evaluation.fixed(
            algorithms.posterior_mean_greedy(family, prior=_prior(family))
        ),
        "uniform": evaluation.fixed(algorithms.uniform(family)),
        "optimal": evaluation.of_task(algorithms.optimal),
    }
    key, test = evaluation_key(config.root_seed), family.split().test
    scores = evaluation.online(
        key, test, agents, num_tasks=config.num_tasks, num_episodes=config.num_episodes
    )
    scales = {
        f"ucb_vi_{scale:g}": evaluation.fixed(_ucb_vi(family, config, scale))
        for scale in config.bonus_scales
    }
    tuned = evaluation.online(  # on training tasks: the choice must not see the test
        key,
        family.split().train,
        scales,
        num_tasks=config.num_tasks,
        num_episodes=config.num_episodes,
    )
    parts = [
        _by_episode("online", scores, config, learned),
        _by_episode("bonus", tuned, config, {}),
    ]
    rows, arrays = panels.join(parts)
    run.finish(rows, arrays, train_tokens=tokens)


def _ucb_vi(family, config: Config, scale: float):
    """UCB-VI with its bonus scaled."""
    from icrl import algorithms

    return algorithms.ucb_vi(
        family,
        scale=scale,
        num_episodes=config.num_episodes,
        monotone=False,
        steps_left=True,
        last_transition=False,
    )


def _prior(family):
    """Normal, with the moments of the uniform law of mean rewards."""
    from icrl.algorithms.posteriors.mdp_posterior import MDPPrior

    return MDPPrior(
        reward_mean=family.reward_location + family.reward_scale / 2,
        reward_precision=12 / family.reward_scale**2,
        noise_precision=family.noise_std**-2,
        concentration=family.concentration,
    )


def _by_episode(panel: str, scores, config: Config, learned):
    """Regret after every episode."""
    from icrl.evaluation import panels

    ends = {
        name: score.reshape(*score.shape[:2], config.num_episodes, -1)[..., -1]
        for name, score in scores.items()
    }
    return panels.curve_panel(
        panel, ends, metric="final_regret", learned=learned, reference="ucb_vi"
    )


def figure(summary, arrays):
    """Regret over episodes, of the learners and of UCB-VI with other bonuses."""
    del summary
    from icrl.drawing import figures

    drawn, axes = figures.new_figure(2, 1, width=5.4, height=4.2)
    for ax, panel, title in (
        (axes[0, 0], "online", "regret in unseen MDPs"),
        (axes[0, 1], "bonus", "UCB-VI by the scale of its bonus"),
    ):
        figures.draw_curves(
            ax,
            arrays,
            panel,
            title=title,
            xlabel="episodes",
            ylabel="cumulative regret (reward units)",
        )
        # uniform play leaves the frame: what matters lies far below it
        ax.set_ylim(0, 2.2 * arrays["online/ucb_vi/mean"][-1])
    return drawn


EXPERIMENT = Experiment(
    name="ucbvi_distillation",
    question="Can a transformer distil UCB-VI on random MDPs, and can DPT beat it?",
    presets={
        "smoke": Config(
            num_episodes=3,
            bonus_scales=(3e-4, 1.0),
            model=SMOKE_MODEL,
            training=SMOKE_TRAINING,
            num_tasks=50,
        ),
        "cpu": Config(
            model=TransformerConfig(num_layers=3),
            training=cosine_training(3000, 3e-3, micro_batch=4),
            pretraining=DecisionPretrainingConfig(num_examples=20_000),
        ),
        "paper": Config(
            seeds=(0, 1, 2),
            model=TransformerConfig(width=64, num_layers=6),
            training=cosine_training(
                200_000, 1e-3, warmup_steps=2000, checkpoint_every=5000
            ),
            num_tasks=20_000,
        ),
    },
    costs={
        "smoke": "1 min on 2 cores",
        "cpu": "30 min on 2 cores",
        "paper": "hours on one GPU (3.2 billion tokens a seed and model)",
    },
    run=run,
    figure=figure,
)
register(EXPERIMENT)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
