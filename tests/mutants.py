"""Whether the tests notice a mistake: small changes to the code, each tested alone.

    python tests/mutants.py --number 60 --seed 0         # or: make mutants
    python tests/mutants.py --number 60 --seed 0 --list  # what would be run

A mutant is one change that an operator of cosmic-ray makes: `+` to `-`, `<` to `<=`,
1 to 2, a decorator less. It is caught if a test of its module (`mirror.py`) fails that
passes without it, or does not end in time. Mutants are made in a copy of the
repository, one at a time; the files here are never changed. Each result is written as
it is known, so that an interrupted run goes on where it was.

This lies in tests/ and not in benchmarks/, for it measures the tests; it is no part of
`make test`, since it takes hours.
"""

import argparse
import collections
import contextlib
import difflib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from mirror import ROOT, mirror, modules
from mutations import Mutant, draw, mutate, work_items

ENOUGH = 0.9  # of the mutants must be caught
MEMORY = 12 * 2**20  # kilobytes that a mutant's tests may take: `**` for `*` is greedy
CAUGHT = ("failed", "broken", "timed out")
WHY = {
    "survived": "no test sees it",
    "undecided": "its tests fail, or take too long, without it too",
}
RESULTS = ROOT / "results" / "mutants.jsonl"

# (file, operator, line) of mutants that change nothing, and why.
EQUIVALENT: dict[tuple[str, str, str], str] = {}


class Tested(NamedTuple):
    """How a run of pytest ended."""

    code: int | None  # its exit status; None if it took too long
    failed: tuple[str, ...]  # tests; files, where one cannot be imported
    seconds: float


class Copy:
    """A copy of the repository, in which mutants are tested.

    Attributes:
        set_aside: tests that fail here without any mutant.
    """

    def __init__(self, folder: pathlib.Path, timeout: float):
        self.root, self.scratch = folder / "repository", folder / "scratch"
        self.timeout = timeout
        self.set_aside: set[str] = set()
        self._passing: set[tuple[str, ...]] = set()
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).exists():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.root / name)

    def judge(self, file: str, changed: str, tests: tuple[str, ...]) -> dict[str, Any]:
        """What the tests say to a changed file: outcome, test and seconds.

        The outcome is "survived"; "failed", "broken" (at import) or "timed out", each
        only if the same tests pass without the change; or else "undecided".
        """
        while True:
            with self._written(file, changed):
                tested = self.pytest(tests)
            known = len(self.set_aside)
            if tested.code == 0:
                outcome = "survived"
            elif self._passes(tested.failed[:1] or tests, whole=not tested.failed):
                outcome = _kind(tested)
            elif len(self.set_aside) > known:
                continue  # without the tests that fail anyway
            else:
                outcome = "undecided"
            test = "".join(tested.failed[:1])
            return {"outcome": outcome, "test": test, "seconds": tested.seconds}

    def _passes(self, names: tuple[str, ...], whole: bool) -> bool:
        """Whether tests pass without a change; sets those aside that do not.

        Args:
            names: of tests, or of a file that a mutant broke.
            whole: run the files; otherwise, they need only be imported.
        """
        if names not in self._passing:
            imported = not whole and "::" not in names[0]
            tested = self.pytest(names, *(["--collect-only"] if imported else []))
            self.set_aside.update(name for name in tested.failed if "::" in name)
            if tested.code == 0:
                self._passing.add(names)
        return names in self._passing

    @contextlib.contextmanager
    def _written(self, file: str, text: str) -> Iterator[None]:
        path = self.root / file
        original = path.read_text()
        path.write_text(text)
        try:
            yield
        finally:
            path.write_text(original)

    def pytest(self, names: tuple[str, ...], *options: str) -> Tested:
        """Runs tests until the first fails, in a process of its own."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        command = ["sh", "-c", f'ulimit -d {MEMORY} && exec "$@"', "sh"]
        command += [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0"]
        command += ["-o", f"cache_dir={self.scratch / 'cache'}", *options, *names]
        command += [f"--deselect={name}" for name in sorted(self.set_aside)]
        environment = os.environ | {
            "PYTHONPATH": str(self.root),
            "TMPDIR": str(self.scratch),
            # A mutant may be as long as the original, and written in the same second:
            # then Python would take the other's compiled file.
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        start = time.monotonic()
        with (self.scratch / "output").open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                code = process.wait(self.timeout)
            except subprocess.TimeoutExpired:
                code = None
            finally:  # and what it started
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        failed = self.scratch / "cache" / "v" / "cache" / "lastfailed"
        names = tuple(json.loads(failed.read_text())) if failed.exists() else ()
        return Tested(code, names, round(time.monotonic() - start, 1))


def _kind(tested: Tested) -> str:
    if tested.code is None:
        return "timed out"
    return "failed" if any("::" in name for name in tested.failed) else "broken"


def digest(*paths: str) -> str:
    """A hash of files, by their names from the root."""
    texts = [(ROOT / path.partition("::")[0]).read_bytes() for path in paths]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


def key(mutant: Mutant) -> dict[str, Any]:
    """What a result is of: a change to a file as it is now."""
    return {
        "file": mutant.file,
        "operator": mutant.operator,
        "occurrence": mutant.occurrence,
        "source": digest(mutant.file),
    }


def last(mutant: Mutant, results: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The last result of a mutant, if it has one."""
    wanted = key(mutant).items()
    return next((r for r in reversed(results) if wanted <= r.items()), None)


def settled(mutant: Mutant, results: list[dict[str, Any]]) -> bool:
    """Whether a mutant is caught, or survived its tests as they are now."""
    result = last(mutant, results)
    if not result or result["outcome"] == "undecided":
        return False
    return result["outcome"] in CAUGHT or result["tests"] == digest(
        *mirror()[mutant.file]
    )


def read(path: pathlib.Path) -> list[dict[str, Any]]:
    """Results, one a line; a line that was cut off is left out."""
    results = []
    for line in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            results.append(json.loads(line))
    return results


def run(mutants: list[Mutant], path: pathlib.Path, timeout: float) -> None:
    """Tests the mutants that are not settled, and writes each result as a line."""
    results = read(path)
    left = [mutant for mutant in mutants if not settled(mutant, results)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="icrl-mutants-") as folder:
        copy = Copy(pathlib.Path(folder), timeout)
        for number, mutant in enumerate(left, start=1):
            print(f"{number} of {len(left)}: {mutant}", flush=True)
            changed = mutate(mutant, (ROOT / mutant.file).read_text())
            assert changed  # what is drawn is a program
            tests = mirror()[mutant.file]
            result = key(mutant) | {"tests": digest(*tests)}
            result |= {"line": mutant.line, "text": mutant.text}
            result["changed"] = difference((ROOT / mutant.file).read_text(), changed)
            result |= copy.judge(mutant.file, changed, tests)
            with path.open("a") as file:
                print(json.dumps(result), file=file)
            print(f"    {result['outcome']} {result['test']}", flush=True)
        for name in sorted(copy.set_aside):
            print(f"fails without any mutant, and was set aside: {name}")


def difference(before: str, after: str) -> str:
    """The lines that a mutant has instead of those that were."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return "\n".join(line[2:].strip() for line in lines if line.startswith("+ "))


def report(mutants: list[Mutant], results: list[dict[str, Any]]) -> bool:
    """Prints a table, and the mutants that were not caught; whether enough were."""
    found = [(mutant, last(mutant, results)) for mutant in mutants]
    tested = [(mutant, result) for mutant, result in found if result]
    for mutant, result in tested:
        print(f"{result['outcome']:10}{result['seconds']:7.1f} s  {mutant}")
        print(f"{'':21}{result['test']}")
    print(f"\n{'package':14}{'mutants':>8}{'caught':>8}")
    for package in dict.fromkeys(modules().values()):
        outcomes = [r["outcome"] for m, r in tested if modules()[m.file] == package]
        caught = sum(outcome in CAUGHT for outcome in outcomes)
        print(f"{package:14}{len(outcomes):8}{caught:8}")
    missed = [(m, r) for m, r in tested if r["outcome"] not in CAUGHT]
    print(f"{'all':14}{len(tested):8}{len(tested) - len(missed):8}")
    for mutant, result in missed:
        same = EQUIVALENT.get((mutant.file, mutant.operator, mutant.text))
        why = f"changes nothing: {same}" if same else WHY[result["outcome"]]
        print(f"\n{result['outcome']}: {mutant}")
        print(f"    - {mutant.text}\n    + {result['changed'] or '(nothing)'}")
        print(f"    {why}")
    return len(missed) <= (1 - ENOUGH) * len(mutants) and len(tested) == len(mutants)


def main() -> None:
    parser = argparse.ArgumentParser(description="Do the tests notice a mistake?")
    parser.add_argument("--number", type=int, default=60, help="of mutants (60)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (0)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds (600)")
    parser.add_argument("--only", default="", help="those whose name has this REGEX")
    parser.add_argument("--list", action="store_true", help="say what would be run")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    args = parser.parse_args()

    sources = {file: (ROOT / file).read_text() for file in modules()}
    items = [m for file, text in sources.items() for m in work_items(file, text)]
    lines = collections.Counter()
    for file, package in modules().items():
        lines[package] += sources[file].count("\n")
    drawn = draw(
        items, args.number, args.seed, lines, lambda m: bool(mutate(m, sources[m.file]))
    )
    mutants = [mutant for mutant in drawn if re.search(args.only, str(mutant))]
    if args.list:
        counts = collections.Counter(modules()[mutant.file] for mutant in items)
        for package, count in lines.items():
            print(f"{package:14}{count:8} lines{counts[package]:8} mutants")
        for mutant in mutants:
            changed = mutate(mutant, sources[mutant.file]) or ""
            print(f"\n{mutant}\n    - {mutant.text}")
            print(f"    + {difference(sources[mutant.file], changed) or '(nothing)'}")
            print(f"    {' '.join(mirror()[mutant.file])}")
        return
    # Then what is running is ended too, and the copy removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    run(mutants, args.results, args.timeout)
    sys.exit(not report(mutants, read(args.results)))


if __name__ == "__main__":
    main()
