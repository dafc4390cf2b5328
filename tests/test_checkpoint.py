"""Checkpoints and weights: kills, full disks, broken files and wrong models.

Over 300 lines: one test after another, each a way in which a file can be wrong.
"""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from icrl.errors import RunError
from icrl.runs.checkpoint import Checkpoints
from icrl.runs.weights import load_weights, save_weights

TESTS = pathlib.Path(__file__).parent


class Block(nnx.Module):
    def __init__(self, width, rngs):
        self.query = nnx.Linear(width, width, rngs=rngs)


class Model(nnx.Module):
    def __init__(self, width, rngs):
        self.blocks = nnx.List([Block(width, rngs), Block(width, rngs)])


def model(width=4, seed=0):
    return Model(width, nnx.Rngs(seed))


def training_state(seed=0):
    trained = model(seed=seed)
    return {
        "model": trained,
        "optimizer": optax.adamw(1e-3).init(trained),
        "key": jax.random.key(seed),
        "half": jnp.full((3,), 0.1, jnp.bfloat16),
        "count": jnp.int32(7),
        "loss": float("nan"),
        "steps": 12,
    }


def bits(tree):
    leaves = jax.tree.leaves(tree)
    keys = [
        hasattr(x, "dtype") and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        for x in leaves
    ]
    plain = [
        jax.random.key_data(x) if k else x for x, k in zip(leaves, keys, strict=True)
    ]
    return [np.asarray(x).tobytes() for x in plain]


def test_a_whole_training_state_comes_back_bit_by_bit(tmp_path):
    state = training_state()
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(10, state)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest() == 10
        restored = checkpoints.restore(10, like=training_state(seed=1))
    assert bits(restored) == bits(state)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert type(restored["steps"]) is int


def test_the_template_need_not_be_computed(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"x": jnp.arange(3.0)})
        like = {"x": jax.ShapeDtypeStruct((3,), jnp.float32)}
        restored = checkpoints.restore(1, like)
    np.testing.assert_array_equal(restored["x"], [0.0, 1.0, 2.0])


def test_the_newest_two_and_the_best_are_kept_also_across_restarts(tmp_path):
    for steps in ((10, 20, 30), (40, 50)):
        with Checkpoints(tmp_path) as checkpoints:
            for step in steps:
                metric = abs(step - 20) / 10
                checkpoints.save(step, {"x": jnp.float32(step)}, metric=metric)
            assert checkpoints.best() == 20
    kept = {int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()}
    assert kept == {20, 40, 50}


def test_without_a_metric_only_the_newest_are_kept(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, {"x": jnp.float32(step)})
        assert checkpoints.best() is None
    assert {path.name for path in tmp_path.iterdir()} >= {"2", "3"}
    assert not (tmp_path / "1").exists()


def test_a_buffer_may_be_donated_while_it_is_being_saved(tmp_path):
    overwrite = jax.jit(lambda x: x * 0.0, donate_argnums=0)
    x = jnp.ones((1000, 1000))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"x": x})
        overwrite(x).block_until_ready()
        restored = checkpoints.restore(1, {"x": np.empty((1000, 1000), np.float32)})
    assert restored["x"].min() == 1.0


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"x": np.zeros(3, np.float32)}, r"x is float32\[2\], not float32\[3\]"),
        ({"x": np.zeros(2, np.int32)}, r"x is float32\[2\], not int32\[2\]"),
        ({"y": np.zeros(2, np.float32)}, "x is not in the model"),
    ],
)
def test_a_template_of_another_shape_is_refused_by_name(tmp_path, like, message):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"x": jnp.zeros(2)})
        with pytest.raises(RunError, match=message):
            checkpoints.restore(1, like)


def largest_file(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "gone"])
def test_a_damaged_checkpoint_names_itself_and_the_one_before(tmp_path, damage):
    state = {"x": jnp.arange(5000.0)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(20, state)
        checkpoints.save(40, state)
    path = largest_file(tmp_path / "40")
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + b"\0\xff\0\xff" + content[middle + 4 :])
    else:
        path.unlink()
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(RunError) as caught:
            checkpoints.restore(40, state)
        restored = checkpoints.restore(20, state)
    message = str(caught.value)
    assert message.startswith(f"checkpoint 40 in {tmp_path} cannot be read (")
    assert message.endswith("delete it to resume from checkpoint 20")
    assert "\n" not in message
    assert bits(restored) == bits(state)


def test_work_that_outlives_a_failure_says_nothing_and_other_errors_do(
    tmp_path, monkeypatch
):
    heard = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"x": jnp.zeros(2)})
        checkpoints.restore(1, {"x": np.zeros(2, np.float32)})
        with pytest.raises(RunError):
            checkpoints.restore(2, {})
    for message in ("Event loop is closed", "something else"):
        sys.unraisablehook(types.SimpleNamespace(exc_value=RuntimeError(message)))
    assert [str(lost.exc_value) for lost in heard] == ["something else"]


def test_a_checkpoint_that_never_was_is_said_so(tmp_path):
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(RunError, match="no checkpoint 3"),
    ):
        checkpoints.restore(3, {"x": 0})


SAVER = """
    import pathlib, sys
    import numpy as np
    from icrl.runs.checkpoint import Checkpoints
    with Checkpoints(pathlib.Path(sys.argv[1])) as checkpoints:
        start = checkpoints.latest() or 0
        for step in range(start + 1, start + 1000):
            checkpoints.save(step, {"x": np.full(300_000, step, np.float32)})
            print(step, flush=True)
"""


def test_a_kill_during_a_save_leaves_a_whole_checkpoint_and_no_litter(tmp_path):
    like = {"x": np.zeros(300_000, np.float32)}
    for pause in (0.0, 0.013):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SAVER), str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            for _ in range(4):
                process.stdout.readline()
            time.sleep(pause)
            os.kill(process.pid, signal.SIGKILL)
        with Checkpoints(tmp_path) as checkpoints:
            assert not list(tmp_path.glob("*tmp*"))
            step = checkpoints.latest()
            assert step is not None
            restored = checkpoints.restore(step, like)
        assert set(restored["x"].tolist()) == {float(step)}


FULL_DISK = """
    import pathlib, resource, signal, sys
    import numpy as np
    from icrl.runs import files
    from icrl.runs.checkpoint import Checkpoints
    from icrl.errors import RunError
    folder = pathlib.Path(sys.argv[1])
    noise = np.random.default_rng(0).random(400_000)
    with Checkpoints(folder / "checkpoints") as checkpoints:
        checkpoints.save(1, {"x": noise})
    files.write_atomic(folder / "summary.json", b"old")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try:
        files.write_atomic(folder / "summary.json", b"x" * 200_000)
    except OSError as error:
        print(error)
    checkpoints = Checkpoints(folder / "checkpoints")
    try:
        checkpoints.save(2, {"x": noise})
        checkpoints.wait()
    except RunError as error:
        print(error)
    restored = checkpoints.restore(checkpoints.latest(), {"x": noise})
    print(checkpoints.latest(), np.array_equal(restored["x"], noise))
"""


def test_a_full_disk_is_one_line_and_costs_nothing_that_was_there(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(tmp_path)],
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout + done.stderr
    assert "summary.json" in lines[0]
    assert lines[1].startswith("cannot save checkpoint 2 in")
    assert done.stderr == ""
    assert lines[2] == "1 True"
    assert (tmp_path / "summary.json").read_bytes() == b"old"
    assert not list(tmp_path.glob(".*"))


def test_weights_are_named_by_their_place_in_the_model(tmp_path):
    from safetensors.numpy import load_file

    path = tmp_path / "weights" / "seed_0.safetensors"
    save_weights(path, model())
    names = load_file(path).keys()
    assert "blocks.0.query.kernel" in names
    assert bits(load_weights(path, model(seed=1))) == bits(model())


def test_weights_in_half_precision_come_back(tmp_path):
    tree = {"x": jnp.full((3,), 0.1, jnp.bfloat16)}
    save_weights(tmp_path / "x.safetensors", tree)
    assert bits(load_weights(tmp_path / "x.safetensors", tree)) == bits(tree)


def test_weights_that_are_missing_broken_or_of_another_model_are_named(tmp_path):
    path = tmp_path / "seed_0.safetensors"
    with pytest.raises(RunError, match="no weights at"):
        load_weights(path, model())
    save_weights(path, model())
    with pytest.raises(
        RunError, match=r"query\.bias is float32\[4\], not float32\[8\]"
    ):
        load_weights(path, jax.eval_shape(lambda: model(width=8)))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match=r"seed_0\.safetensors cannot be read"):
        load_weights(path, model())


def test_a_byte_that_was_flipped_is_refused_wherever_it_stands(tmp_path):
    path = tmp_path / "seed_0.safetensors"
    save_weights(path, model())
    data, whole = path.read_bytes(), bits(model())
    refused = 0
    for place in range(0, len(data), 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        try:
            assert bits(load_weights(path, model(seed=1))) == whole
        except RunError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 0.8 * len(range(0, len(data), 7))
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # the last number's exponent
    with pytest.raises(RunError, match="its digest does not match its arrays"):
        load_weights(path, model())


def test_weights_of_another_writer_need_no_digest(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "w.safetensors"
    save_file({"x": np.arange(3.0)}, path)
    loaded = load_weights(path, {"x": np.zeros(3)})
    np.testing.assert_array_equal(loaded["x"], [0, 1, 2])


def test_weights_come_back_as_they_were_whatever_their_order_in_memory(tmp_path):
    square = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    tree = {"turned": square.T, "strided": square[:, ::2], "scalar": np.float32(3)}
    save_weights(tmp_path / "w.safetensors", tree)
    for name, leaf in load_weights(tmp_path / "w.safetensors", tree).items():
        np.testing.assert_array_equal(leaf, tree[name])
