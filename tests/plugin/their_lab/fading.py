"""A mixer that forgets: an average in which the past fades."""

import jax.numpy as jnp

from icrl.models import Recurrence
from icrl.registries import MIXERS


@MIXERS.register("fading")
class Fading(Recurrence):
    """y_t = 0.9 y_{t-1} + 0.1 x_t."""

    def __init__(self, config, *, rngs):
        del rngs
        self.width = config.width

    def init_state(self, max_tokens):
        """Nothing has been seen."""
        del max_tokens
        return jnp.zeros(self.width)

    def update(self, state, inputs):
        """Lets the past fade a little."""
        state = 0.9 * state + 0.1 * inputs
        return state, state

    def multiply_adds(self, tokens, *, decode):
        """Two for each feature."""
        del tokens, decode
        return 2 * self.width
