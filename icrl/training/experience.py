"""Experience for learning online: trials that are played on, a segment at a time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from envs.base import Key, Task, require
from icrl.agents import Recipe
from icrl.agents.in_context import begin_context, in_context
from icrl.algorithms.base import Algorithm
from icrl.devices import over_devices
from icrl.rollout import Carry, begin, play
from icrl.tokenizers.encoding import decisions, encode


class Trial(NamedTuple):
    """A trial that is being played: one task, and an agent that remembers it."""

    seed: Int[Array, "*batch words"]  # of all that is drawn in it: a key's words
    task: Task
    step: Int[Array, "*batch"]  # steps that are played
    task_state: Any  # as the fields of the same names in `rollout.Carry`
    obs: Any
    alive: Bool[Array, "*batch"]
    model: Any  # the model's memory of earlier segments; None: trials are one segment
    tokens: Any  # the tokenizer's memory


class Segment(NamedTuple):
    """A part of a trial, and what the agent thought as it played it."""

    tokens: Float[Array, "*batch tokens token"]
    memory: Any  # the model's, before the segment; None: nothing stands before
    action: Int[Array, "*batch time"]
    reward: Float[Array, "*batch time"]
    valid: Bool[Array, "*batch time"]  # false once an episode has terminated
    log_probs: Float[Array, "*batch time"]  # of the actions, as they were drawn
    logits: Float[Array, "*batch time actions"]  # of all, read by the same weights
    values: Float[Array, "*batch time"]  # expected before each action
    next_value: Float[Array, "*batch"]  # after the segment; 0 at the end of a trial


class Played(NamedTuple):
    """What a model says of the tokens of a segment."""

    logits: Float[Array, "time actions"]
    values: Float[Array, " time"]
    memory: Any  # after them


class Batch(NamedTuple):
    """Segments, and what is learnt from them."""

    segment: Segment
    advantage: Float[Array, "*batch time"]


class Player(NamedTuple):
    """How trials are played, with any weights.

    Attributes:
        start: `(model, key) -> trial`, before its first step.
        collect: `(model, trial) -> (trial, segment)`: plays on for one segment.
        read: `(model, segment) -> played`: the same tokens again, with other weights.
        num_segments: of a trial.
        trial_steps: steps of a trial.
    """

    start: Callable[[Any, Key], Trial]
    collect: Callable[[Any, Trial], tuple[Trial, Segment]]
    read: Callable[[Any, Segment], Played]
    num_segments: int
    trial_steps: int


def make_player(recipe: Recipe, segment_steps: int | None) -> Player:
    """Returns how trials of a recipe are played.

    Args:
        recipe: family, tokenizer and model.
        segment_steps: of a segment; None: a whole trial.

    Raises:
        ValueError: if segments do not divide a trial, the model has no values, or the
            tokenizer needs queries.
    """
    family, tokenizer = recipe.make_family(), recipe.make_tokenizer()
    trial_steps = recipe.num_episodes * family.horizon
    steps = trial_steps if segment_steps is None else segment_steps
    rule = f"segment_steps must divide the {trial_steps} steps of a trial"
    require(trial_steps % steps == 0, rule, steps)
    rule = "training online needs tokens of one length at every step"
    require(tokenizer.end_tokens == 0, rule, f"tokenizer {recipe.tokenizer}")
    rule = "training online needs a value_head"
    require(getattr(recipe.model, "value_head", True), rule, "none")
    whole = steps == trial_steps
    tasks = family.split().train
    ends = steps % family.horizon == 0  # segments begin where episodes do

    def opened(task: Task, key: Key) -> Carry:
        key_task, key_agent = jax.random.split(key)
        return begin(key_task, key_agent, task, _nobody())

    def start(model: Any, key: Key) -> Trial:
        key_task, key_play = jax.random.split(key)
        task = tasks.sample(key_task)
        carry = opened(task, key_play)
        return Trial(
            seed=jax.random.key_data(key_play),
            task=task,
            step=jnp.zeros((), jnp.int32),
            task_state=carry.task_state,
            obs=carry.obs,
            alive=carry.alive,
            model=None if whole else model.init_memory(),
            tokens=tokenizer.init(),
        )

    def collect(model: Any, trial: Trial) -> tuple[Trial, Segment]:
        cache = model.init_cache() if whole else model.recall(trial.model)
        context = begin_context(cache, tokenizer)._replace(memory=trial.tokens)
        if not ends:
            context = context._replace(step=trial.step % family.horizon)
        carry = opened(trial.task, jax.random.wrap_key_data(trial.seed))._replace(
            task_state=trial.task_state,
            obs=trial.obs,
            alive=trial.alive,
            agent=_Noting(context, jnp.zeros(steps), jnp.zeros((), jnp.int32)),
            # a number that all share, where they do: then so is a place in the cache
            step=0 if whole else trial.step,
        )
        algorithm = _noting(in_context(model, tokenizer))
        carry, trajectory = play(
            carry, trial.task, algorithm, steps, offset=0 if ends else None
        )
        noted = carry.agent
        first = None if whole else trial.tokens
        tokens = encode(tokenizer, trajectory, memory=first)
        own = tokens.shape[0] - tokenizer.observe_tokens
        segment = Segment(
            tokens=tokens[:own],
            memory=trial.model,
            action=trajectory.action,
            reward=trajectory.timestep.reward,
            valid=trajectory.valid,
            log_probs=noted.log_probs,
            logits=jnp.zeros((steps, family.num_actions)),
            values=jnp.zeros(steps),
            next_value=jnp.zeros(()),
        )
        read_now = read(model, segment)
        segment = segment._replace(values=read_now.values, logits=read_now.logits)
        if not whole:
            x, _ = model.features(tokens[own:], read_now.memory)
            goes_on = trial.step + steps < trial_steps
            next_value = jnp.where(goes_on, model.value(x)[-1], 0.0)
            segment = segment._replace(next_value=next_value)
        after = trial._replace(
            step=trial.step + steps,
            task_state=carry.task_state,
            obs=carry.obs,
            alive=carry.alive,
            model=read_now.memory,
            tokens=noted.context.memory,
        )
        return after, segment

    def read(model: Any, segment: Segment) -> Played:
        x, memory = model.features(segment.tokens, segment.memory, remember=not whole)
        logits = decisions(tokenizer, model.policy(x, segment.tokens))
        values = decisions(tokenizer, model.value(x)[:, None])[:, 0]
        return Played(logits, values, memory)

    return Player(start, collect, read, trial_steps // steps, trial_steps)


class Again(NamedTuple):
    """Segments as other weights read them; sums are over decisions alone."""

    segment: Segment
    every: Float[Array, "batch time actions"]  # log-probabilities
    values: Float[Array, "batch time"]

    @property
    def log_probs(self) -> Float[Array, "batch time"]:
        """Of the actions that were taken."""
        taken = self.segment.action[..., None]
        return jnp.take_along_axis(self.every, taken, axis=-1)[..., 0]

    @property
    def change(self) -> Float[Array, "batch time"]:
        """Of these log-probabilities, from those of the weights that acted."""
        return self.log_probs - self.segment.log_probs

    def mean(self, x: Float[Array, "batch time"]) -> Float[Array, ""]:
        """The mean over decisions."""
        valid = self.segment.valid
        return jnp.sum(jnp.where(valid, x, 0)) / jnp.maximum(valid.sum(), 1)

    def value_loss(self, batch: Batch) -> Float[Array, ""]:
        """Half the squared distance of values to what they should have been."""
        target = self.segment.values + batch.advantage
        return 0.5 * self.mean((self.values - target) ** 2)

    def entropy(self) -> Float[Array, ""]:
        """Of the policy, in nats."""
        return self.mean(-jnp.sum(jnp.exp(self.every) * self.every, axis=-1))

    def divergence(self) -> Float[Array, ""]:
        """KL from the policy that acted to this one, in nats."""
        old = jax.nn.log_softmax(self.segment.logits)
        return self.mean(jnp.sum(jnp.exp(old) * (old - self.every), axis=-1))

    def ratio_error(self) -> Float[Array, ""]:
        """How far the ratio of an action's probabilities is from 1, at most."""
        error = jnp.abs(jnp.exp(self.change) - 1)
        return jnp.max(jnp.where(self.segment.valid, error, 0))


def read_again(model: Any, player: Player, segment: Segment) -> Again:
    """Returns what a model says of stored segments, from the memory before them."""
    played = over_devices(jax.vmap(player.read, (None, 0)), model, segment)
    return Again(segment, jax.nn.log_softmax(played.logits), played.values)


class _Noting(NamedTuple):
    """An agent's context, and the log-probabilities of what it did."""

    context: Any
    log_probs: Float[Array, " time"]
    written: Int[Array, ""]  # so many of them


def _nobody() -> Algorithm:
    """An algorithm in whose place another comes."""
    return Algorithm(
        init=lambda: None,
        begin_episode=lambda key, state: state,
        act=lambda key, state, obs: (state, jnp.zeros((), jnp.int32)),
        update=lambda state, obs, action, timestep: state,
    )


def _noting(algorithm: Algorithm) -> Algorithm:
    """The same algorithm, which notes how likely each of its actions was."""

    def begin_episode(key: Key, state: _Noting) -> _Noting:
        return state._replace(context=algorithm.begin_episode(key, state.context))

    def act(key: Key, state: _Noting, obs: Any) -> tuple[_Noting, Array]:
        context, action = algorithm.act(key, state.context, obs)
        log_prob = jax.nn.log_softmax(context.logits)[action]
        log_probs = state.log_probs.at[state.written].set(log_prob)
        return _Noting(context, log_probs, state.written + 1), action

    def update(state: _Noting, obs: Any, action: Array, timestep: Any) -> _Noting:
        context = algorithm.update(state.context, obs, action, timestep)
        return state._replace(context=context)

    return algorithm._replace(
        begin_episode=begin_episode, act=act, update=update, init=lambda: None
    )


def advantages(
    segment: Segment,
    *,
    discount: float,
    gae_lambda: float,
    reward_scale: float = 1.0,
    reward_offset: float = 0.0,
) -> Float[Array, " time"]:
    """Returns generalised advantages of the actions of one segment.

    Values and advantages are those of `reward_scale * (reward - reward_offset)`. A
    trial is one stream: values go on through the ends of its episodes. Steps behind a
    termination are no decisions: they are passed over, and theirs are 0.

    Source: Schulman et al. 2016, arXiv 1506.02438, equation 16.
    """

    def step(later: tuple[Array, Array], now: tuple[Array, ...]):
        next_value, next_advantage = later
        reward, value, valid = now
        error = reward + discount * next_value - value
        advantage = error + discount * gae_lambda * next_advantage
        kept = (
            jnp.where(valid, value, next_value),
            jnp.where(valid, advantage, next_advantage),
        )
        return kept, jnp.where(valid, advantage, 0.0)

    last = segment.next_value, jnp.zeros_like(segment.next_value)
    now = reward_scale * (segment.reward - reward_offset), segment.values, segment.valid
    return jax.lax.scan(step, last, now, reverse=True)[1]
