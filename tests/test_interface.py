"""What a model was not made for is refused before anything is played."""

import inspect
import json
import shutil

import jax
import jax.numpy as jnp
import jaxtyping
import pytest
from flax import nnx
from test_train import TRAINING, fit

import envs
import icrl
from icrl import algorithms
from icrl.agents import Recipe
from icrl.agents.in_context import in_context
from icrl.agents.query_table import query_table
from icrl.config import TransformerConfig
from icrl.errors import RunError
from icrl.evaluation.returns import informed
from icrl.models.transformer import Transformer
from icrl.replay import predictions
from icrl.rollout import rollout
from icrl.runs.weights import load_weights, save_weights
from icrl.tokenizers import TOKENIZERS

HORIZON = 4
BANDIT = envs.family("GaussianBandit-DPT-v0", horizon=HORIZON)
MDP = envs.family("RandomMDP-Small-v0")


def model_of(family, name, num_steps):
    tokenizer = TOKENIZERS[name](family)
    model = Transformer(
        TransformerConfig(width=8, num_layers=1, num_heads=2),
        token_size=tokenizer.token_size,
        num_actions=family.num_actions,
        max_tokens=tokenizer.num_tokens(num_steps),
        rngs=nnx.Rngs(0),
    )
    return model, tokenizer


def play(algorithm, family, num_episodes=1):
    """The shapes of a rollout: what is refused is refused before numbers exist."""

    def play_once(key):
        key_task, key_noise, key_agent = jax.random.split(key, 3)
        task = family.sample(key_task)
        return rollout(key_noise, key_agent, task, algorithm, num_episodes=num_episodes)

    return jax.eval_shape(play_once, jax.random.key(0))


@pytest.fixture(scope="module", params=["query_first", "interleaved"])
def bandit_agent(request):
    return in_context(*model_of(BANDIT, request.param, HORIZON))


def test_it_plays_as_many_steps_as_it_has_room_for(bandit_agent):
    assert play(bandit_agent, BANDIT).action.shape == (HORIZON,)


@pytest.mark.parametrize(
    ("family", "num_episodes", "line"),
    [
        (BANDIT.replace(horizon=5), 1, "at most 4 steps, the room of the model, got 5"),
        (BANDIT, 2, "at most 4 steps, the room of the model, got 8"),
        (BANDIT.replace(num_arms=7), 1, "num_actions must be 5.*got 7"),
        (BANDIT.replace(num_arms=3), 1, "num_actions must be 5.*got 3"),
        (
            envs.family("LinearBandit-Lin2023-v0", horizon=4, num_arms=5),
            1,
            "observations must be",
        ),
    ],
)
def test_what_it_was_not_made_for_is_refused(bandit_agent, family, num_episodes, line):
    with pytest.raises(ValueError, match=line):
        play(bandit_agent, family, num_episodes)
    mixed = algorithms.mixture([bandit_agent, algorithms.uniform(family)], [0.5, 0.5])
    with pytest.raises(ValueError, match=line):
        play(mixed, family, num_episodes)


def test_histories_and_data_take_room_too(bandit_agent):
    longer = play(algorithms.uniform(BANDIT), BANDIT, 2)
    with pytest.raises(ValueError, match=r"at most 4 steps.*got 8"):
        predictions(bandit_agent, longer, num_episodes=2)
    task = BANDIT.sample(jax.random.key(0))
    key_noise, key_agent = jax.random.split(jax.random.key(1))
    data = rollout(key_noise, key_agent, task, algorithms.uniform(BANDIT))
    with pytest.raises(ValueError, match=r"at most 0 steps.*got 4"):
        play(informed(bandit_agent, data), BANDIT)


def test_a_table_of_answers_is_for_episodes_of_its_length():
    agent = query_table(*model_of(MDP, "query_each", MDP.horizon))
    assert play(agent, MDP, 3).action.shape == (3 * MDP.horizon,)  # any number
    longer = MDP.replace(horizon=MDP.horizon + 1)
    with pytest.raises(ValueError, match="horizon must be at most"):
        play(agent, longer)


def test_an_agent_refuses_a_tokenizer_of_the_other():
    with pytest.raises(ValueError, match="is played by the agent query_table"):
        in_context(*model_of(MDP, "query_each", MDP.horizon))
    with pytest.raises(ValueError, match="query_table needs a tokenizer with a query"):
        query_table(*model_of(MDP, "step", MDP.horizon))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"tokenizer": "steps"}, "no tokenizer 'steps'; did you mean step"),
        ({"agent": "in_contxt"}, "no agent 'in_contxt'; did you mean in_context"),
        ({"agent": "nobody"}, "there are: in_context, query_table"),
    ],
)
def test_a_recipe_of_unknown_names_is_refused(changes, line):
    with pytest.raises(ValueError, match=line):
        Recipe(family=BANDIT.name, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    training = TRAINING.__class__(
        num_steps=2, batch_size=2, steps_per_call=2, checkpoint_every=2
    )
    _, run = fit(tmp_path_factory.mktemp("agent"), training=training)
    return run.folder


@pytest.mark.parametrize("num_steps", [0, -1, 50.5, True])
def test_a_number_of_steps_that_is_none_is_refused(folder, num_steps):
    unchecked = inspect.unwrap(icrl.load_agent)  # tests alone check annotations
    with pytest.raises(ValueError, match=rf"num_steps must be .*got {num_steps}"):
        unchecked(folder, num_steps=num_steps)


def test_more_steps_are_played_where_room_is_asked_for(folder):
    longer = BANDIT.replace(horizon=9)
    with pytest.raises(ValueError, match=r"at most 8 steps.*got 9"):
        play(icrl.load_agent(folder).algorithm(), longer)
    agent = icrl.load_agent(folder, num_steps=9).algorithm()
    assert play(agent, longer).action.shape == (9,)


def test_weights_that_are_not_numbers_are_refused(folder, tmp_path):
    run = shutil.copytree(folder, tmp_path / "run")
    (path,) = (run / "weights").glob("*.safetensors")
    model = icrl.load_agent(folder).model(0)
    save_weights(path, jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), model))
    assert jnp.isnan(jax.tree.leaves(load_weights(path, model))[0]).all()
    with pytest.raises(RunError, match="holds weights that are not finite"):
        icrl.load_agent(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "cannot be read: it must be an object, got []"),
        ({"family": 3}, "cannot be read: family must be a text, got 3"),
        ({"model": "x"}, "cannot be read: model must be an object, got 'x'"),
        ({"model": {}}, "cannot be read: model.type is missing"),
        ({"model": {"type": "Nonsense"}}, "no model 'Nonsense'"),
        ({"model": {"type": "TransformerConfig", "width": "8"}}, "width must be a"),
        ({"changes": []}, "changes must be a dictionary, got []"),
        ({"changes": {"arms": 3}}, "has no field 'arms'"),
        ({"num_episodes": "two"}, "num_episodes must be a whole number, got 'two'"),
        ({"family": "GausianBandit-v0"}, "no family 'GausianBandit-v0'; did you"),
    ],
)
def test_a_recipe_of_another_kind_is_one_line(
    folder, tmp_path, change, message, monkeypatch
):
    # a user has no run-time checks of annotations
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    run = shutil.copytree(folder, tmp_path / "run")
    path = run / "weights" / "recipe.json"
    recipe = json.loads(path.read_text())
    path.write_text(json.dumps([] if change is None else {**recipe, **change}))
    with pytest.raises(RunError) as caught:
        icrl.load_agent(run)
    assert str(caught.value).startswith(str(path)) and message in str(caught.value)


def test_one_of_several_models_is_asked_for_by_name(folder, tmp_path):
    run = shutil.copytree(folder, tmp_path / "run")
    for path in list((run / "weights").iterdir()):
        for name in ("one", "other"):
            stem = f"recipe_{name}" if path.suffix == ".json" else f"{name}_{path.stem}"
            shutil.copy(path, path.with_stem(stem))
        path.unlink()
    with pytest.raises(RunError, match=r"--which\) must name one .*: one, other"):
        icrl.load_agent(run)
    assert icrl.load_agent(run, "other").seeds == (0,)
    with pytest.raises(RunError, match="'othr'; did you mean other"):
        icrl.load_agent(run, "othr")


def test_a_run_that_has_not_finished_training_is_one_line(folder, tmp_path):
    run = shutil.copytree(folder, tmp_path / "run")
    for path in (run / "weights").glob("*.safetensors"):
        path.unlink()
    with pytest.raises(RunError, match="has not finished training: it has no weights"):
        icrl.load_agent(run)


def test_a_copy_beside_the_weights_is_no_seed(folder, tmp_path):
    run = shutil.copytree(folder, tmp_path / "run")
    (path,) = (run / "weights").glob("*.safetensors")
    for name in ("seed_0 (copy)", "seed_0.bak", "seed_00", "copy of seed_0", "seed_"):
        shutil.copy(path, path.with_name(f"{name}.safetensors"))
    assert icrl.load_agent(run).seeds == (0,)


def test_an_unknown_name_in_a_recipe_file_is_one_line(folder, tmp_path):
    run = shutil.copytree(folder, tmp_path / "run")
    path = run / "weights" / "recipe.json"
    recipe = json.loads(path.read_text())
    path.write_text(json.dumps({**recipe, "tokenizer": "steps"}))
    with pytest.raises(RunError, match=r"recipe.json: no tokenizer 'steps'; did you"):
        icrl.load_agent(run)
