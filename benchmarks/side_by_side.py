"""Times two sides alternately, each in its own process.

Each side is a process that stays alive: it compiles and warms up once, then runs one
round whenever it is asked. Sides take turns, so that a machine shared with others is
as slow for one as for the other; a ratio is the median over rounds.
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple


class Side(NamedTuple):
    """What was measured of one side."""

    rates: list[float]  # units per second, one of each round
    peak_megabytes: float
    details: dict  # what the last round said beside

    @property
    def rate(self) -> float:
        """Units per second, the median over rounds."""
        return statistics.median(self.rates)


def serve(run: Callable[[], tuple[int, dict]]) -> None:
    """Answers the parent process: one round of `run` for each line that it sends.

    Args:
        run: does a round of work; returns how many units it did, and details.
    """
    run()  # compiles, fills caches
    _say({"ready": True})
    for _ in sys.stdin:
        start = time.perf_counter()
        units, details = run()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        _say({"rate": units / seconds, "peak": peak, "details": details})


def compare(commands: dict[str, list[str]], rounds: int) -> dict[str, Side]:
    """Runs sides alternately.

    Args:
        commands: name of a side to the arguments of `python` that serve it.
        rounds: of each side.
    """
    workers = {name: _start(command) for name, command in commands.items()}
    answers = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
            answers[name].append(_hear(worker))
    for worker in workers.values():
        worker.communicate()
    return {
        name: Side(
            rates=[answer["rate"] for answer in given],
            peak_megabytes=given[-1]["peak"],
            details=given[-1]["details"],
        )
        for name, given in answers.items()
    }


def ratio(side: Side, reference: Side) -> float:
    """How many times as fast a side is as the reference, the median over rounds."""
    return statistics.median(
        a / b for a, b in zip(side.rates, reference.rates, strict=True)
    )


def _start(command: list[str]) -> subprocess.Popen:
    worker = subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    _hear(worker)
    return worker


def _hear(worker: subprocess.Popen) -> dict:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError(f"a side ended early with status {worker.wait()}")
    return json.loads(line)


def _say(message: dict) -> None:
    print(json.dumps(message), flush=True)


def report(
    module: str,
    unit: str,
    args: argparse.Namespace,
    rounds: int,
    path: pathlib.Path | None,
    names: tuple[str, str] = ("jax", "torch"),
) -> None:
    """Compares two sides of a script, prints and writes the result.

    Args:
        module: the script; `--side NAME` after its own arguments serves a side.
        unit: of its rates.
        args: its arguments, which are written beside the result.
        rounds: of each side.
        path: where JSON is written, if anywhere.
        names: of the sides; ratios are to the second.
    """
    commands = {name: ["-m", module, *sys.argv[1:], "--side", name] for name in names}
    sides = compare(commands, rounds)
    print(f"{'side':8}{unit:>14}{'best':>12}{'ratio':>8}{'peak MB':>10}")
    for name, side in sides.items():
        print(
            f"{name:8}{side.rate:14.0f}{max(side.rates):12.0f}"
            f"{ratio(side, sides[names[1]]):8.2f}{side.peak_megabytes:10.0f}"
        )
        for key, value in side.details.items():
            print(f"    {key}: {value}")
    if path:
        settings = {key: str(value) for key, value in vars(args).items()}
        measured = {name: side._asdict() for name, side in sides.items()}
        path.write_text(json.dumps({"settings": settings, "sides": measured}, indent=1))
