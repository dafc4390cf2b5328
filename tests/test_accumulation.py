import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icrl.training.accumulation import value_and_grad_accumulated


def squared_errors(weights, batch):
    inputs, targets = batch
    return jnp.sum((jnp.tanh(inputs @ weights) - targets) ** 2) / 12


def batch_of_12(seed=0):
    key_inputs, key_targets = jax.random.split(jax.random.key(seed))
    return jax.random.normal(key_inputs, (12, 3)), jax.random.normal(key_targets, (12,))


WEIGHTS = jnp.array([0.3, -1.0, 2.0])


@pytest.mark.parametrize("micro_batch", [None, 1, 2, 3, 12])
def test_parts_sum_to_the_whole(micro_batch):
    batch = batch_of_12()
    expected = jax.value_and_grad(squared_errors)(WEIGHTS, batch)
    actual = jax.jit(
        lambda weights, batch: value_and_grad_accumulated(
            squared_errors, weights, batch, micro_batch
        )
    )(WEIGHTS, batch)
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(actual[1], expected[1], rtol=1e-5, atol=1e-7)


def test_seeds_are_vmapped():
    batches = jax.tree.map(lambda *x: jnp.stack(x), *map(batch_of_12, range(3)))
    weights = jnp.stack([WEIGHTS, 2 * WEIGHTS, -WEIGHTS])
    _, gradients = jax.vmap(
        lambda weights, batch: value_and_grad_accumulated(
            squared_errors, weights, batch, 4
        )
    )(weights, batches)
    expected = jax.vmap(jax.grad(squared_errors))(weights, batches)
    np.testing.assert_allclose(gradients, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("micro_batch", [0, 5, 24])
def test_a_micro_batch_that_does_not_divide_is_refused(micro_batch):
    with pytest.raises(ValueError, match="must divide the batch of 12 examples"):
        value_and_grad_accumulated(squared_errors, WEIGHTS, batch_of_12(), micro_batch)
