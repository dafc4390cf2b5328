import io
import json
import os
import signal

import jax.numpy as jnp
import numpy as np
import pytest

from icrl.errors import RunError
from icrl.evaluation.playing import over_tasks
from icrl.runs import metrics
from icrl.runs.metrics import MetricsLog, Preemption, Progress, read_metrics
from icrl.runs.runtime import compiled_anew, enable_compilation_cache


def steps(path):
    return [line["step"] for line in read_metrics(path)]


def test_each_chunk_is_a_line_with_a_number_per_seed(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.log(10, loss=jnp.array([0.5, jnp.nan]), rate=np.float32(2.0))
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert line.pop("seconds") >= 0
    assert line == {"step": 10, "loss": [0.5, None], "rate": 2.0}


def test_a_line_can_be_read_as_soon_as_it_is_logged(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.log(1, loss=1.0)
        assert steps(log.path) == [1]


def test_a_resumed_log_forgets_the_steps_after_the_checkpoint(tmp_path):
    with MetricsLog(tmp_path) as log:
        for step in (10, 20, 30):
            log.log(step, loss=1.0)
    with open(log.path, "a") as file:
        file.write('{"step": 40, "lo')  # killed here
    with MetricsLog(tmp_path, resume_step=20) as log:
        log.log(30, loss=1.0)
    assert steps(log.path) == [10, 20, 30]


def test_a_log_from_the_start_begins_empty(tmp_path):
    for _ in range(2):
        with MetricsLog(tmp_path) as log:
            log.log(10, loss=1.0)
    assert steps(log.path) == [10]


def test_a_broken_line_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(RunError, match="line 2"):
        read_metrics(path)


def test_tensorboard_gets_a_curve_per_seed(tmp_path):
    pytest.importorskip("tensorboardX")
    with MetricsLog(tmp_path, extra=("tensorboard",)) as log:
        log.log(10, loss=[0.5, None], rate=1.0)
    (events,) = (tmp_path / "tensorboard" / "metrics").iterdir()
    content = events.read_bytes()
    assert b"loss/0" in content
    assert b"loss/1" not in content  # that seed diverged


def test_a_missing_extra_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(metrics.sys.modules, "wandb", None)
    with pytest.raises(RunError, match=r"--log wandb needs.*icrl\[wandb\]"):
        MetricsLog(tmp_path, extra=("wandb",))


def test_progress_without_a_terminal_is_a_line_now_and_then_and_at_the_end():
    stream = io.StringIO()
    with Progress(100, start=50, stream=stream, every=60.0) as progress:
        for done in range(51, 101):
            progress.update(done, loss=0.5)
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("training: 100/100 steps, ")
    assert line.endswith(", loss 0.5")


def test_progress_tells_rate_and_time_left(monkeypatch):
    now = iter([0.0, 10.0, 10.0, 10.0, 10.0])
    monkeypatch.setattr(metrics.time, "monotonic", lambda: next(now))
    stream = io.StringIO()
    progress = Progress(1000, "tasks", label="playing", stream=stream)
    progress.update(100)
    said = stream.getvalue()
    assert said == "playing: 100/1,000 tasks, 10 tasks/s, 1 min 30 s left\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_says_at_once_what_is_done_before_the_first_step():
    stream = io.StringIO()
    with Progress(10, stream=stream) as progress:
        progress.say("compiling")
        assert stream.getvalue() == "training: compiling\n"
        progress.say("compiling more")  # not again before some seconds are over
        progress.update(10)
    assert stream.getvalue().count("\n") == 2
    terminal = Terminal()
    with Progress(10, stream=terminal) as progress:
        progress.say("reading")
    assert "reading" in terminal.getvalue()


@pytest.mark.parametrize("line", ["3", "[]", '{"loss": 1}', '{"step": "x"}'])
def test_a_line_of_another_kind_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl cannot be read: line 2"):
        read_metrics(path)


def test_progress_on_a_terminal_is_a_bar():
    stream = Terminal()
    with Progress(10, stream=stream) as progress:
        progress.update(10, loss=0.25)
    assert "10/10 steps" in stream.getvalue()
    assert "loss 0.25" in stream.getvalue()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_signal_is_noted_and_gives_the_exit_code(number, code):
    before = signal.getsignal(number)
    with Preemption() as preemption:
        assert not preemption.requested
        os.kill(os.getpid(), number)
        assert preemption.requested
        with pytest.raises(SystemExit) as stop:
            preemption.exit()
    assert stop.value.code == code
    assert signal.getsignal(number) is before


def test_a_second_interrupt_stops_at_once():
    with Preemption(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_the_compilation_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    import jax

    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))
    try:
        assert enable_compilation_cache() == tmp_path / "cache"
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "cache")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_compiling_anew_neither_reads_nor_fills_the_cache(tmp_path):
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    settings = {
        "jax_enable_compilation_cache": True,
        "jax_compilation_cache_dir": str(tmp_path),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in settings}

    def use(settings):
        for name, value in settings.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()

    def compile_one():
        jax.clear_caches()
        jax.jit(lambda x: 3 * x + 7)(1.0)
        return len(list(tmp_path.iterdir()))

    try:
        use(settings)
        with compiled_anew():
            assert compile_one() == 0
        assert compile_one() > 0
        with pytest.raises(KeyError), compiled_anew():
            raise KeyError
        assert jax.config.jax_enable_compilation_cache
    finally:
        use(before)


def test_no_compilation_cache_where_nothing_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert enable_compilation_cache() is None


@pytest.mark.parametrize("tasks_at_once", [0, 1, 3, 7, 500])
def test_an_evaluation_says_who_plays_and_its_bar_moves_with_the_tasks(
    tasks_at_once, capsys
):
    def score(models, index):
        return {"dpt": models["dpt"] + index, "index": index[None]}

    models = {"dpt": jnp.array([0.5, 1.5])}
    found = over_tasks(score, models, 7, tasks_at_once, "dpt, ucb")
    assert found["dpt"].tolist() == [[n + 0.5, n + 1.5] for n in range(7)]
    assert found["index"].tolist() == [[n] for n in range(7)]
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == "evaluating: compiling dpt, ucb"
    assert last.startswith("evaluating: 7/7 tasks, ")
