"""No random key is used twice, across training and evaluation of one seed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from icrl import runs
from icrl.config import ExperimentConfig
from icrl.evaluation import key_for
from icrl.experiment import Experiment
from icrl.keys import Purpose, dataset_key, evaluation_key, fold
from icrl.training import Learner, fit

SEED, STEPS, TASKS, EXAMPLES = 0, 4, 6, 3


def words(key):
    """A key as numbers, or a batch of keys as rows of numbers."""
    return jax.random.key_data(key).astype(jnp.uint32)


def training_keys(folder):
    """What a learner is given by `fit`: a key for its weights and one for each step."""

    def init(key):
        return {"seen": jnp.zeros((STEPS + 1, 2), jnp.uint32).at[0].set(words(key))}

    def step(state, key, count):
        del count
        rows = state["seen"]
        free = jnp.argmin((rows != 0).any(-1))
        return {"seen": rows.at[free].set(words(key))}, {"loss": jnp.zeros(())}

    config = ExperimentConfig(seeds=(SEED,))
    experiment = Experiment(
        name="throwaway",
        question="Which keys are there?",
        presets={"cpu": config},
        costs={"cpu": "seconds"},
        run=lambda run, config: None,
    )
    learner = Learner(init, step, lambda state: state)
    sizes: Any = {"num_steps": STEPS, "steps_per_call": 2, "checkpoint_every": 4}
    with runs.open_run(experiment, "cpu", config, root=folder) as run:
        trained = fit(run, learner, **sizes)
    rows = jnp.asarray(trained.models["seen"][0])
    return jax.vmap(jax.random.wrap_key_data)(rows)


@jax.jit
def counted(keys, numbers):
    """Every key folded with every number, as counts of tasks and `split` do it."""
    folds = jax.vmap(jax.random.fold_in, (None, 0))
    return jax.vmap(folds, (0, None))(keys, numbers).reshape(-1)


@jax.jit
def below(keys):
    """Words of the keys, and of what a question and a split in four make of each."""
    asked = jax.vmap(lambda key: fold(key, Purpose.QUERY))(keys)
    split = counted(keys, jnp.arange(4))
    return jnp.concatenate([words(keys), words(asked), words(split)])


@jax.jit
def purposes(key):
    """The key of every purpose."""
    return jnp.stack([fold(key, purpose) for purpose in Purpose])


def test_training_data_sets_and_evaluation_share_no_key(tmp_path):
    """With the same number as training seed, seed of a set and root seed."""
    trained = training_keys(tmp_path)
    assert len({tuple(row) for row in words(trained).tolist()}) == STEPS + 1
    made = counted(dataset_key(SEED)[None], jnp.arange(20))
    root = evaluation_key(SEED)
    of_root = purposes(root)
    panels = counted(root[None], jnp.arange(5))
    of_panels = jnp.stack([fold(panel, Purpose.TASKS) for panel in panels])
    roots = jnp.stack([jax.random.key(SEED), root, dataset_key(SEED)])
    rows = [
        *(words(keys) for keys in (roots, trained, of_root, panels, of_panels)),
        below(counted(trained, jnp.arange(EXAMPLES))),
        below(made),
        below(counted(of_root, jnp.arange(TASKS))),
        below(counted(of_panels, jnp.arange(TASKS))),
    ]
    rows = np.concatenate([np.asarray(part) for part in rows])
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_a_task_of_an_evaluation_has_the_key_of_its_purpose_and_number():
    root = evaluation_key(SEED)
    expected = counted(fold(root, Purpose.TASKS)[None], jnp.arange(3))[2]
    found = key_for(root, Purpose.TASKS, jnp.asarray(2))
    assert words(found).tolist() == words(expected).tolist()
