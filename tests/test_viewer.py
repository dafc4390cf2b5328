"""Pictures of tasks: pixels where they belong, files that open, Gymnasium's render."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import envs
import icrl  # noqa: F401 (registers the ids)
from envs import t_maze
from envs.gymnasium_adapter import Env
from envs.viewer import AGENT, COLOURS, FLOOR, LINE, GridPicture, Mark, draw, render
from icrl.algorithms import optimal
from icrl.drawing import viewer
from icrl.rollout import rollout

ROOM = envs.family("DarkRoom-DPT-v0", horizon=12)
BANDIT = envs.family("GaussianBandit-DPT-v0", horizon=4)


def middle_of(image, x, y, height, pixels=24):
    """The colour in the middle of a cell."""
    row = (height - 1 - y) * pixels + pixels // 2
    return tuple(image[row, x * pixels + pixels // 2].tolist())


def corner_of(image, x, y, height, pixels=24):
    """The colour near a cell's corner, which no agent hides."""
    return tuple(image[(height - 1 - y) * pixels + 3, x * pixels + 3].tolist())


def test_marks_and_the_agent_stand_where_they_are_and_y_goes_upwards():
    marks = [Mark(0, 0, "hole"), Mark(2, 1, "goal"), Mark(1, 1, "key")]
    image = draw(GridPicture(size=(3, 2), agent=(2, 1), marks=marks))
    assert (image.shape, image.dtype) == ((48, 72, 3), np.uint8)
    assert middle_of(image, 2, 1, 2) == AGENT
    assert corner_of(image, 2, 1, 2) == COLOURS["goal"]
    assert middle_of(image, 1, 1, 2) == COLOURS["key"]
    assert middle_of(image, 0, 0, 2) == COLOURS["hole"]
    assert middle_of(image, 1, 0, 2) == middle_of(image, 2, 0, 2) == FLOOR
    assert (image[0] == LINE).all() and (image[:, -1] == LINE).all()
    area = (image == AGENT).all(-1).sum() / 24**2
    assert area == pytest.approx(np.pi * 0.32**2, rel=0.05)


def test_colours_stay_apart_for_every_reader():
    """Goal and agent, which stand in one cell: two of Okabe and Ito's (2008)."""
    assert (COLOURS["goal"], AGENT) == ((0, 158, 115), (213, 94, 0))
    colours = np.array([*COLOURS.values(), FLOOR, LINE, AGENT])
    apart = abs(colours[:, None] - colours[None]).max(-1)
    assert apart[~np.eye(len(colours), dtype=bool)].min() >= 15


def test_a_t_maze_shows_its_arms_and_which_is_right():
    task = envs.family("PassiveTMaze-v0", horizon=5).sample(jax.random.key(0))
    state = task.reset(jax.random.key(1))[0]
    image = render(task, state)
    assert image.shape == (3 * 24, 5 * 24, 3)
    arm = 2 if state.goal == t_maze.UP else 0
    assert middle_of(image, 4, arm, 3) == COLOURS["goal"]
    assert middle_of(image, 4, 2 - arm, 3) == FLOOR
    assert middle_of(image, 2, 0, 3) == middle_of(image, 2, 2, 3) == COLOURS["wall"]
    assert middle_of(image, 0, 1, 3) == AGENT


def test_a_dark_room_shows_its_goal_and_a_key_disappears_once_it_is_taken():
    task = ROOM.task((3, 7))
    image = render(task, task.reset(jax.random.key(0))[0])
    assert middle_of(image, 3, 7, 10) == COLOURS["goal"]
    assert middle_of(image, 0, 0, 10) == AGENT
    room = envs.family("DarkKeyToDoor-AD-v0", start=(4, 4)).task((5, 4), (8, 0))
    state, _ = room.reset(jax.random.key(0))
    before = render(room, state)
    state, _ = room.step(jax.random.key(1), state, jnp.asarray(0))
    after = render(room, state)
    assert middle_of(before, 5, 4, 9) == COLOURS["key"]
    assert middle_of(after, 5, 4, 9) == AGENT
    assert corner_of(after, 5, 4, 9) == FLOOR
    for image in (before, after):
        assert middle_of(image, 8, 0, 9) == COLOURS["door"]


def played(num_episodes=2):
    task = ROOM.task((3, 7))
    key_task, key_agent = jax.random.split(jax.random.key(0))
    trajectory = rollout(
        key_task, key_agent, task, optimal(task), num_episodes=num_episodes
    )
    return task, trajectory


def test_a_trajectory_is_drawn_along_the_cells_it_visits(tmp_path):
    task, trajectory = played()
    viewer.draw_trajectory(task, trajectory, tmp_path / "path.png")
    image = np.asarray(Image.open(tmp_path / "path.png").convert("RGB"))
    floor = (image == FLOOR).all(-1)
    frame = (image < 90).all(-1)  # its lines are long, unlike all else that is dark
    top, *_, bottom = np.flatnonzero(frame.mean(1) > 0.5)
    left, *_, right = np.flatnonzero(frame.mean(0) > 0.5)
    cell = (bottom - top) / 10
    assert cell == pytest.approx((right - left) / 10, abs=0.5)

    def is_plain(x, y):
        rows = slice(int(bottom - (y + 0.95) * cell), int(bottom - (y + 0.05) * cell))
        columns = slice(int(left + (x + 0.05) * cell), int(left + (x + 0.95) * cell))
        inside = floor[rows, columns]
        return inside[2:-2, 2:-2].mean() > 0.99

    drawn = {(x, y) for x in range(10) for y in range(10) if not is_plain(x, y)}
    along_x, then_y = [(x, 0) for x in range(4)], [(3, y) for y in range(8)]
    assert drawn == {*along_x, *then_y}


def test_an_animation_has_a_frame_for_every_step_and_one_for_the_end(tmp_path):
    task, trajectory = played()
    viewer.animate(task, trajectory, tmp_path / "path.gif", frames_per_second=10)
    with Image.open(tmp_path / "path.gif") as animation:
        assert animation.n_frames == 2 * 12 + 1
        seen = []
        for frame in range(animation.n_frames):
            animation.seek(frame)
            assert animation.info["duration"] == 100
            image = np.asarray(animation.convert("RGB"))[:240]
            row, column = np.argwhere((image == AGENT).all(-1)).mean(0) // 24
            seen.append((int(column), 9 - int(row)))
    way = [(x, 0) for x in range(3)] + [(3, y) for y in range(8)] + [(3, 7)]
    assert seen == [*way, *way, (3, 7)]


def test_what_cannot_be_seen_is_refused_in_one_line(tmp_path):
    task, trajectory = played(1)
    bandit = BANDIT.sample(jax.random.key(0))
    with pytest.raises(ValueError, match="a GaussianBandit has no picture: it has no"):
        render(bandit, bandit.reset(jax.random.key(1))[0])
    mark = GridPicture(size=(2, 2), agent=None, marks=[Mark(0, 0, "dragon")])
    with pytest.raises(ValueError, match=r"one of goal, key, .* got 'dragon'"):
        draw(mark)
    with pytest.raises(ValueError, match="cell_pixels must be at least 4, got 3"):
        draw(mark._replace(marks=[]), cell_pixels=3)
    batch = jax.tree.map(lambda leaf: leaf[None], trajectory)
    with pytest.raises(ValueError, match=r"one rollout, not a batch, got \(1, 12\)"):
        viewer.draw_trajectory(task, batch, tmp_path / "path.png")
    with pytest.raises(ValueError, match=r"must lie in \[1, 50\], got 0"):
        viewer.animate(task, trajectory, tmp_path / "path.gif", frames_per_second=0)


# Gymnasium.


def test_gymnasium_renders_the_state_after_every_step():
    env = gymnasium.make("icrl/DarkRoom-DPT-v0", render_mode="rgb_array")
    env.reset(seed=0, options={"task": envs.family("DarkRoom-DPT-v0").task((2, 2))})
    for action, (x, y) in [(4, (0, 0)), (0, (1, 0)), (2, (1, 1))]:
        env.step(action)
        image = env.render()
        assert middle_of(image, x, y, 10) == AGENT
        assert middle_of(image, 2, 2, 10) == COLOURS["goal"]
        assert (image == AGENT).all(-1).sum() == pytest.approx(185, abs=15)


def test_gymnasiums_recording_wrapper_works():
    env = gymnasium.make("icrl/DarkKeyToDoor-AD-v0", render_mode="rgb_array")
    recorder = gymnasium.wrappers.RenderCollection(env)
    recorder.reset(seed=0)
    for _ in range(3):
        recorder.step(4)
    frames = recorder.render()
    assert len(frames) == 4
    assert all((frame == frames[0]).all() for frame in frames)


def test_only_families_with_a_picture_can_be_rendered():
    assert Env(BANDIT).metadata["render_modes"] == []
    assert Env(ROOM).metadata["render_modes"] == ["rgb_array"]
    assert Env(ROOM).metadata["render_fps"] > 0
    name = r"GaussianBandit-DPT-v0\[horizon=4\]"
    with pytest.raises(ValueError, match=f"must be None, as {name} has no picture"):
        Env(BANDIT, render_mode="rgb_array")
    with pytest.raises(ValueError, match="must be rgb_array or None, got 'ansi'"):
        Env(ROOM, render_mode="ansi")
    assert Env(ROOM).render() is None
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        Env(ROOM, render_mode="rgb_array").render()
