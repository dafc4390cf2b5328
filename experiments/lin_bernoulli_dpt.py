"""Does a transformer that is shown optimal actions become Thompson sampling?

Bernoulli bandits, 5 arms, 200 pulls. Contexts come from Thompson sampling in half of
the trajectories and from uniform play in the other half; labels are the best arm. The
theory says that the model learns the posterior over the best arm: its play is Thompson
sampling with the uniform prior.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Figure 1 right. The UCB of that figure
is the one of the released code, s/(1+n) + 1/√(1+n) (its text's formula gives 8.6).
Command: icrl run lin_bernoulli_dpt cpu
Cost: about 25 minutes on 2 free cores (cpu, 2 training seeds).
Expect (cpu): final regret (11.3) within 8 % of Thompson sampling's 10.7, the loss 0.020
nats above its floor; with half as many steps 11.7 and 0.029.
"""

from icrl import cli, lin2023, study
from icrl.config import DecisionPretrainingConfig, TransformerConfig, cosine_training

SHARE = 0.5  # of the trajectories that Thompson sampling plays
# Read out of the paper's vector figures: one model, 500 tasks.
PUBLISHED = {
    "transformer": lin2023.at_steps(2.5, 4.5, 6.4, 8.7, 10.1, 11.1),
    "thompson_sampling": lin2023.at_steps(2.5, 4.5, 6.3, 8.3, 9.7, 10.7),
    "ucb": lin2023.at_steps(1.7, 2.8, 3.7, 5.0, 5.8, 6.5),
    "empirical_mean": lin2023.at_steps(2.2, 3.3, 4.7, 7.1, 9.4, 11.6),
}
PANELS = lin2023.panels("thompson_sampling", PUBLISHED, bernoulli_arms=5)


def run(run, config: lin2023.DecisionConfig):
    """Trains, plays, scores."""
    from icrl import algorithms
    from icrl.pretraining.methods import decision_pretraining

    recipe = study.make_recipe(config, "BernoulliBandit-Lin2023-v0")
    family = recipe.make_family()
    thompson = algorithms.thompson_sampling(family)
    pretraining = decision_pretraining(
        recipe,
        algorithms.mixture([thompson, algorithms.uniform(family)], [SHARE, 1 - SHARE]),
        config.pretraining,
        behaviour=f"thompson_sampling ({SHARE}), uniform",
        posterior=thompson if config.soft_labels else None,
    )
    trained = study.train(run, pretraining, config.training)
    baselines = {
        "thompson_sampling": thompson,
        "ucb": algorithms.ucb(family, form="shrunken"),
        "gittins": algorithms.gittins(family),
        "empirical_mean": algorithms.empirical_mean(family),
    }
    test = study.Evaluation(config, family.split().test)
    return lin2023.scores(test, trained, "thompson_sampling", baselines)


CPU = lin2023.DecisionConfig(
    seeds=(0, 1),
    tokenizer="step",
    model=TransformerConfig(num_layers=3, mixer=("relu",)),
    training=cosine_training(8000, 1e-2, micro_batch=4),
    pretraining=DecisionPretrainingConfig(num_examples=80_000),
)
EXPERIMENT = study.experiment(
    __name__,
    run,
    PANELS,
    lin2023.presets(lin2023.DecisionConfig, study.Preset("25 min on 2 cores", CPU)),
)

if __name__ == "__main__":
    cli.run_experiment(EXPERIMENT)
