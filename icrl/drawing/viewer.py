"""Trajectories on grids, to look at: a drawing of the path, and an animation.

    trajectory = rollout(key_task, key_agent, task, agent, num_episodes=5)
    viewer.draw_trajectory(task, trajectory, "path.png")
    viewer.animate(task, trajectory, "path.gif")

For one trajectory in one task that has a picture (`envs/viewer.py`).
"""

import pathlib

import jax
import numpy as np
from jaxtyping import Float, Int

from envs.base import Task, require
from envs.viewer import GridPicture, draw, picture_of
from icrl.rollout import Trajectory

SPREAD = 0.5  # of a cell, over which the paths of episodes lie side by side
CAPTION = 16  # pixels


def draw_trajectory(
    task: Task, trajectory: Trajectory, path: str | pathlib.Path
) -> None:
    """Draws the agent's way through the grid: one line for each episode, later darker.

    A dot is where an episode begins. A cross is where its last step began, or, in the
    last episode, where it ended. Lines are set apart a little, or they would hide each
    other.

    Args:
        task: the task that was played.
        trajectory: of one rollout in it.
        path: of the image, PNG by its suffix or any other that Matplotlib writes.

    Raises:
        ValueError: if the task has no picture, or the trajectory is a batch.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    pictures = _pictures(task, trajectory)
    ways = _ways(pictures, trajectory, task.horizon)
    (width, height), num_episodes = pictures[0].size, len(ways)
    figure = Figure(figsize=(0.45 * width + 0.4, 0.45 * height + 0.8))
    ax = figure.subplots()
    background = draw(pictures[0]._replace(agent=None))
    ax.imshow(background, extent=_extent(width, height), interpolation="nearest")
    shades = colormaps["viridis_r"](np.linspace(0.15, 1, num_episodes))
    offsets = SPREAD * (np.arange(num_episodes) + 0.5) / num_episodes - SPREAD / 2
    for way, color, offset in zip(ways, shades, offsets, strict=True):
        x, y = (way + offset).T
        ax.plot(x, y, color=color, linewidth=1.5, solid_joinstyle="round")
        ax.plot(x[0], y[0], "o", color=color, markersize=4)
        ax.plot(x[-1], y[-1], "X", color=color, markersize=7, markeredgecolor="white")
    several = f"episodes 1 (light) to {num_episodes} (dark)"
    ax.set_title(several if num_episodes > 1 else "one episode", fontsize=9)
    ax.set(xticks=range(width), yticks=range(height), xlabel="x", ylabel="y")
    figure.savefig(path, dpi=150, bbox_inches="tight")


def animate(
    task: Task,
    trajectory: Trajectory,
    path: str | pathlib.Path,
    *,
    frames_per_second: int = 8,
    cell_pixels: int = 24,
) -> None:
    """Writes an animated GIF: a frame for every step, and one for the end.

    Below the grid stand the episode, the step and the return so far. At the last frame
    of an episode but the last, its last step has not been taken yet.

    Args:
        task: the task that was played.
        trajectory: of one rollout in it.
        path: of the GIF.
        frames_per_second: at most 50, which is what viewers keep up with.
        cell_pixels: of a cell's side.

    Raises:
        ValueError: if the task has no picture, the trajectory is a batch, or a number
            breaks its rule.
    """
    from PIL import Image

    rule = "frames_per_second must lie in [1, 50]"
    require(1 <= frames_per_second <= 50, rule, frames_per_second)
    frames = []
    pictures = _pictures(task, trajectory)
    returns = _returns_so_far(trajectory, task.horizon)
    for time, (picture, so_far) in enumerate(zip(pictures, returns, strict=True)):
        last = time == len(pictures) - 1  # the end of the last episode
        episode = (time - last) // task.horizon
        step = time - episode * task.horizon
        text = f"episode {episode + 1}  step {step}  return {so_far:g}"
        frames.append(_captioned(draw(picture, cell_pixels=cell_pixels), text))
    first, *others = (Image.fromarray(frame) for frame in frames)
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=1000 // frames_per_second,
        loop=0,
    )


def _pictures(task: Task, trajectory: Trajectory) -> list[GridPicture]:
    """One before every step, and one of the end."""
    shape = trajectory.action.shape
    require(len(shape) == 1, "a trajectory must be of one rollout, not a batch", shape)
    states, final = jax.device_get((trajectory.state, trajectory.final_state))
    at = [jax.tree.map(lambda leaf, t=t: leaf[t], states) for t in range(shape[0])]
    return [picture_of(task, state) for state in [*at, final]]


def _ways(
    pictures: list[GridPicture], trajectory: Trajectory, horizon: int
) -> list[Int[np.ndarray, "steps 2"]]:
    """Where the agent was in each episode; the last one has its end, too."""
    agents = np.array([picture.agent for picture in pictures])
    starts = range(0, trajectory.action.shape[0], horizon)
    ways = [agents[start : start + horizon] for start in starts]
    return [*ways[:-1], np.concatenate([ways[-1], agents[-1:]])]


def _returns_so_far(
    trajectory: Trajectory, horizon: int
) -> Float[np.ndarray, " frames"]:
    """Rewards of the episode before each step, and at the end."""
    rewards = np.asarray(trajectory.timestep.reward).reshape(-1, horizon)
    sums = np.cumsum(rewards, axis=1)
    before = np.concatenate([np.zeros_like(sums[:, :1]), sums[:, :-1]], axis=1)
    return np.append(before.ravel(), sums[-1, -1])


def _captioned(image: np.ndarray, text: str) -> np.ndarray:
    from PIL import Image, ImageDraw

    strip = np.full((CAPTION, image.shape[1], 3), 255, np.uint8)
    canvas = Image.fromarray(np.concatenate([image, strip]))
    ImageDraw.Draw(canvas).text((2, image.shape[0] + 2), text, fill=(0, 0, 0))
    return np.asarray(canvas)


def _extent(width: int, height: int) -> tuple[float, float, float, float]:
    """Where the image lies, so that cell (x, y) has its middle at x and y."""
    return -0.5, width - 0.5, -0.5, height - 0.5
