"""A study: rows, units and the figure follow from the scores."""

import dataclasses

import jax
import numpy as np
import pytest

import envs
from envs.bernoulli_bandit import BernoulliBanditFamily
from icrl import algorithms, results, study, training
from icrl.agents import Recipe
from icrl.algorithms.dark_room import goal_posterior
from icrl.config import (
    SMOKE_MODEL,
    SMOKE_TRAINING,
    PretrainingConfig,
    TrainingConfig,
    TransformerConfig,
)
from icrl.drawing import figures
from icrl.evaluation import Scores
from icrl.evaluation.numbers import Numbers, at_largest, of_curves, of_losses
from icrl.evaluation.playing import task_ids
from icrl.experiment import EXPERIMENTS
from icrl.panels import Curves, Drawing, Loss
from icrl.presets import smoke_preset


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(study.Config):
    """Sizes."""

    horizon: int = 100
    num_tasks: int = 4000
    num_orders: int = 7


LARGE = Config(
    seeds=(3, 4),
    model=TransformerConfig(num_layers=2),
    training=TrainingConfig(num_steps=1000),
    pretraining=PretrainingConfig(num_examples=20_000),
)


class Opened:
    """A run that keeps what it is given."""

    def __init__(self, config, shared_data):
        self.config, self.shared_data = config, shared_data

    def finish(self, rows, arrays, finals):
        self.rows, self.arrays, self.finals = rows, arrays, finals


def scores(seeds=2, trajectories=40, goals=20, time=6):
    random = np.random.default_rng(0)
    return Scores(
        {
            "dpt": random.normal(size=(seeds, trajectories, time)),
            "exact_posterior_sampling": random.normal(size=(1, trajectories, time)),
        },
        frozenset({"dpt"}),
        np.arange(trajectories) % goals,
        "a hash",
    )


ONLINE = Curves(name="online")


def finished(panels=(ONLINE,), shared_data=False, **options):
    opened = Opened(LARGE, shared_data)
    results.finish(opened, panels, {"online": scores(**options)})
    return opened


def test_rows_know_their_seeds_tasks_and_trajectories():
    rows = {(r["agent"], r["metric"]): r for r in finished().rows}
    assert len(rows) == 3
    mine = rows["dpt", "final_regret"]
    assert (mine["seeds"], mine["tasks"], mine["trajectories"]) == (2, 20, 40)
    exact = rows["exact_posterior_sampling", "final_regret"]
    assert (exact["seeds"], exact["tasks"], exact["trajectories"]) == (0, 20, 40)
    assert np.isclose(mine["exact"], exact["mean"])
    assert 0 < mine["exact_error"] < exact["high"] - exact["low"]


def test_the_values_behind_each_row_are_kept_with_the_hash_of_their_tasks():
    opened = finished()
    assert opened.finals["online/tasks_hash"] == "a hash"
    kept = opened.finals["online/dpt/final_regret"]
    assert kept.shape == (2, 20) and kept.dtype == np.float32
    last = scores()["dpt"][..., -1].reshape(2, 2, 20).mean(1)
    np.testing.assert_allclose(kept, last, rtol=1e-6)


def test_a_row_says_what_its_interval_leaves_out():
    of_one_seed = finished(seeds=1, shared_data=True).rows[0]
    assert of_one_seed["given"] == ["one training seed", "one data set"]
    assert finished().rows[0]["given"] == []
    not_trained = finished().rows[-1]
    assert not_trained["seeds"] == 0 and "given" not in not_trained


def test_scores_without_a_panel_are_refused():
    with pytest.raises(ValueError, match=r"a panel each, got \['online'\] beside"):
        finished(panels=(Curves(name="other"),))


def test_what_a_run_returns_is_refused_in_words_that_say_what_it_should_be():
    panel = Drawing(name="mine", title="mine", function=lambda *_: None)

    def finish(returned):
        results.finish(Opened(LARGE, False), [panel], returned)

    with pytest.raises(ValueError, match="must return scores by panel, got None"):
        finish(None)
    with pytest.raises(ValueError, match="must return `Numbers` for 'mine', a"):
        finish({"mine": scores()})
    with pytest.raises(
        ValueError, match=r"'mine' must begin with 'mine/', got \['x'\]"
    ):
        finish({"mine": Numbers(arrays={"x": np.ones(2)})})
    finish({"mine": Numbers(arrays={"mine/x": np.ones(2)})})


def test_returns_are_of_one_episode_unless_the_config_says_otherwise():
    family = BernoulliBanditFamily(horizon=3)
    config = dataclasses.replace(LARGE, num_tasks=4)
    test = study.Evaluation(config, family.split().test)
    returns = test.returns({"uniform": algorithms.uniform(family)})
    assert returns["uniform"].shape == (1, 4, 1)
    with pytest.raises(ValueError, match="'online' must be a return, as its scores"):
        ONLINE.numbers(returns)


def test_published_values_stand_in_the_row_of_their_step():
    numbers = of_curves(
        "online", scores(), metric="final_regret", published={"dpt": {6: 1.5, 5: 9.0}}
    )
    assert numbers.rows[0]["published"] == 1.5
    shifted = {"metric": "final_regret", "published": {"dpt": {6: 1.5, 5: 9.0}}}
    numbers = of_curves("online", scores(), first_step=0, **shifted)
    assert numbers.rows[0]["published"] == 9.0
    assert list(numbers.arrays["online/steps"]) == [0, 1, 2, 3, 4, 5]


def test_a_loss_stands_beside_its_floor_and_their_paired_difference():
    random = np.random.default_rng(1)
    floor = random.normal(size=(1, 30, 4))
    table = Scores(
        {"loss": floor + np.array([[[0.1]], [[0.3]]]), "loss_floor": floor},
        frozenset({"loss"}),
        np.arange(30),
    )
    rows = {row["metric"]: row for row in of_losses("loss", table, agent="dpt").rows}
    gap = rows["loss_minus_floor"]
    assert np.isclose(gap["mean"], 0.2) and gap["low"] < 0.2 < gap["high"]
    assert np.isclose(gap["high"] - gap["low"], 2 * 12.706 * 0.1, rtol=1e-3)
    assert (rows["loss"]["seeds"], rows["loss_floor"]["seeds"]) == (2, 0)


def test_the_largest_mean_is_not_chosen_where_it_is_measured():
    noise = np.random.default_rng(2).normal(size=(1, 4000, 300))
    assert noise.mean(1).max() > 0.04
    assert abs(at_largest(noise).mean()) < 0.035


def test_the_smoke_preset_is_a_small_copy():
    small = smoke_preset(LARGE.takes("hours"), num_orders=2).config
    assert (small.horizon, small.num_tasks, small.num_orders) == (10, 50, 2)
    assert (small.model, small.training) == (SMOKE_MODEL, SMOKE_TRAINING)
    assert small.seeds == (0,) and small.pretraining.num_examples == 100


def test_name_and_question_are_those_of_the_script():
    from experiments import quickstart

    assert quickstart.EXPERIMENT.name == "quickstart"
    assert quickstart.__doc__.startswith(quickstart.EXPERIMENT.question + "\n")
    assert EXPERIMENTS["quickstart"] is quickstart.EXPERIMENT


def test_a_script_without_a_question_is_refused():
    with pytest.raises(ValueError, match="must begin with a question, got 'A study:"):
        study.experiment(__name__, lambda run, config: {}, [])


def drawn(panels, opened):
    summary = {"rows": opened.rows}
    return results.draw(panels, summary, opened.arrays, columns=2, size=(4.0, 3.0))


def test_a_figure_letters_its_panels_and_says_its_units():
    panels = [Curves(name="online", title="regret"), Curves(name="online", title="two")]
    figure = drawn(panels, finished(panels=panels))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["(a)  regret", "(b)  two"]
    said = figure.get_supxlabel()
    assert "20 tasks" in said and "2 training seeds" in said
    assert "40 trajectories" in said and "95 %" in said


def test_what_a_run_has_no_numbers_for_is_not_drawn():
    panels = [Curves(name="online", title="regret"), Loss(), Curves(name="silent")]
    assert len(drawn(panels, finished(panels=panels)).axes) == 1


def test_old_references_are_said_to_be_bootstrapped():
    rows = finished().rows
    summary = {"rows": rows, "interval": "bootstrap"}
    assert "bootstrap" in figures.units_of(summary)
    assert "bootstrap" not in figures.units_of({"rows": rows})


def test_dark_rooms_are_as_many_tasks_as_there_are_goals():
    tasks = envs.family("DarkRoom-DPT-v0").split().test
    assert len(np.unique(task_ids(tasks, 400))) == 20
    prior = envs.family("BernoulliBandit-DPT-v0").split().test
    assert len(np.unique(task_ids(prior, 400))) == 400


def test_labels_of_permuted_rooms_know_no_order_that_is_held_out(monkeypatch):
    """What collects, what labels and what the model is compared with."""
    name = "exact_permutation_posterior"
    make, asked = getattr(goal_posterior, name), []

    def note(family, *, permutations="all", **options):
        asked.append(permutations)
        return make(family, permutations=permutations, **options)

    def stop(run, pretraining, *rest, **options):
        raise RuntimeError("nothing is trained")

    monkeypatch.setattr(goal_posterior, name, note)
    monkeypatch.setattr(training, "train_models", stop)
    chosen = EXPERIMENTS["dpt_dark_room_permuted"]
    with pytest.raises(RuntimeError, match="nothing is trained"):
        chosen.run(None, chosen.presets["smoke"])
    assert asked == ["train", "all", "train"]  # the second is a line beside, no more


def test_weights_play_another_size_with_a_longer_memory():
    def recipe(memory):
        model = TransformerConfig(
            width=8, num_layers=1, num_heads=2, mixer=("relative",), memory=memory
        )
        changes = {"horizon": 2 * memory}
        family = "PassiveTMaze-v0"
        return Recipe(family=family, changes=changes, tokenizer="rl2", model=model)

    short, long = recipe(3), recipe(6)
    first = jax.vmap(short.make_model)(jax.random.split(jax.random.key(0), 2))
    found = study.Trained(first, (5, 7), short).resized({"horizon": 12}, memory=6)
    assert (found.seeds, found.recipe) == ((5, 7), long)
    size = short.make_tokenizer().token_size
    tokens = jax.random.normal(jax.random.key(1), (6, size))
    one = [
        jax.tree.map(lambda leaf: leaf[1], models)(tokens)
        for models in (first, found.models)
    ]
    # what reaches back no further than 3 tokens is the same; later, more is seen
    np.testing.assert_allclose(one[1][:4], one[0][:4], atol=1e-6)
    assert np.abs(one[1][4:] - one[0][4:]).max() > 1e-4


def test_weights_of_another_shape_are_refused():
    model = TransformerConfig(width=8, num_layers=1, num_heads=2)
    recipe = Recipe(family="BernoulliBandit-DPT-v0", tokenizer="rl2", model=model)
    models = jax.vmap(recipe.make_model)(jax.random.split(jax.random.key(0), 1))
    with pytest.raises(ValueError, match="weights must have shapes"):
        study.Trained(models, (0,), recipe).resized({"num_arms": 7})
