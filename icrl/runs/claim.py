"""The claim on a run's folder: its lock, its config, and the seeds that it trains.

Seeds come in groups, each trained as one job: the seeds of the first command, then
those that a later command added. A group of which nothing is trained yet is not there:
the next command may come with other seeds. A claim that is given up before anything was
trained leaves everything as it found it, and no folder where there was none.
"""

import contextlib
import dataclasses
import pathlib
import shutil
from typing import IO, TypeAlias

from icrl.config import ExperimentConfig
from icrl.errors import RunError
from icrl.runs import files, kept, provenance, serialization

SeedGroup: TypeAlias = tuple[int, ...]  # a seed group: trains together; at least one

CONFIG = {"experiment": str, "preset": str, "seed_groups": [[int]], "config": dict}
DONE = {"seeds": [int]}


@dataclasses.dataclass(kw_only=True)
class Claim:
    """A run's folder in the hands of this process; made by `take`.

    Attributes:
        folder: of the run.
        groups: the seed groups, in the order they came.
        added: the one that this claim added; None if it added none.
    """

    folder: pathlib.Path
    groups: tuple[SeedGroup, ...] = ()
    added: SeedGroup | None = None
    _made: list[pathlib.Path]  # folders that this claim made, the outermost first
    _config_before: bytes | None
    _lock: IO[str]

    def release(self, *, failed: bool) -> None:
        """Lets another process have the folder.

        Args:
            failed: whether the run was refused or broke off. What the claim added is
                then taken back, unless something of it is trained.
        """
        if failed and not self._has_begun():
            self._take_back()
        self._lock.close()

    def _has_begun(self) -> bool:
        """Whether there is anything that would be lost."""
        if self.added is None:
            return True
        suffix = suffix_of(self.added, self.groups)
        logs = self.folder.glob(f"metrics*{suffix}.jsonl")
        return (
            is_begun(self.folder, self.added, self.groups)
            or any(path.stat().st_size for path in logs)
            or (self.folder / kept.FOLDER).exists()
            or (bool(self._made) and (self.folder / "summary.json").exists())
        )

    def _take_back(self) -> None:
        assert self.added is not None
        if self._made:
            shutil.rmtree(self.folder, ignore_errors=True)
            _remove_empty(self._made)
            return
        suffix = suffix_of(self.added, self.groups)
        (self.folder / f"env{suffix}.json").unlink(missing_ok=True)
        for path in self.folder.glob(f"metrics*{suffix}.jsonl"):
            if not path.stat().st_size:
                path.unlink()
        shutil.rmtree(self.folder / f"checkpoints{suffix}", ignore_errors=True)
        path = self.folder / "config.json"
        if self._config_before is None:
            path.unlink(missing_ok=True)
        elif path.read_bytes() != self._config_before:
            files.write_atomic(path, self._config_before)


def take(
    folder: pathlib.Path, experiment: str, preset: str, config: ExperimentConfig
) -> Claim:
    """Locks a run's folder and adds the config's new seeds to it.

    Raises:
        RunError: if another process has the folder, it holds a run with another config,
            or an unfinished one from other versions or devices.
        OSError: if the folder cannot be written.
    """
    made = _make(folder)
    try:
        held = files.lock(folder)
    except BaseException:
        _remove_empty(made)
        raise
    path = folder / "config.json"
    claim = Claim(
        folder=folder,
        _made=made,
        _config_before=path.read_bytes() if path.exists() else None,
        _lock=held,
    )
    try:
        files.remove_leftovers(folder)
        claim.groups = begun_groups(folder, config)
        known = sum(claim.groups, ())
        added = tuple(seed for seed in config.seeds if seed not in known)
        if added:
            claim.groups, claim.added = (*claim.groups, added), added
            encoded = serialization.encode(config)
            encoded["seeds"] = sum(claim.groups, ())
            content = {"experiment": experiment, "preset": preset}
            content |= {"seed_groups": claim.groups, "config": encoded}
            files.write_json(path, content)
        _check_provenance(folder, claim.groups)
    except BaseException:
        claim.release(failed=True)
        raise
    return claim


def begun_groups(
    folder: pathlib.Path, config: ExperimentConfig
) -> tuple[SeedGroup, ...]:
    """The seed groups of a folder that have begun.

    Raises:
        RunError: if the folder holds a run with another config.
    """
    path = folder / "config.json"
    if not path.exists():
        return ()
    found = files.read_json(path, CONFIG)
    different = serialization.first_difference(
        serialization.hashed_part(found["config"]),
        serialization.hashed_part(serialization.encode(config)),
    )
    if different:
        key, there, here = different
        raise RunError(
            f"{folder} holds a run with another config: {key} is {there!r} there "
            f"and {here!r} here; move that folder away"
        )
    groups = tuple(tuple(group) for group in found["seed_groups"])
    while groups and not is_begun(folder, groups[-1], groups):
        groups = groups[:-1]
    return groups


def is_begun(
    folder: pathlib.Path, group: SeedGroup, groups: tuple[SeedGroup, ...]
) -> bool:
    """Whether a seed group is finished, or has a checkpoint or a model's weights."""
    weights = folder / "weights"
    return (
        set(group) <= finished_seeds(folder)
        or _has_checkpoint(folder / f"checkpoints{suffix_of(group, groups)}")
        or any(any(weights.glob(f"*seed_{seed}.safetensors")) for seed in group)
    )


def finished_seeds(folder: pathlib.Path) -> set[int]:
    """The seeds that the folder's summary covers; none before it is done."""
    path = folder / "DONE"
    return set(files.read_json(path, DONE)["seeds"]) if path.exists() else set()


def suffix_of(group: SeedGroup, groups: tuple[SeedGroup, ...]) -> str:
    """What the names of a seed group's files end in; nothing for the first group."""
    if group == groups[0]:
        return ""
    head, *rest = group
    return f"_seeds_{head}-{rest[-1]}" if rest else f"_seeds_{head}"


def _check_provenance(folder: pathlib.Path, groups: tuple[SeedGroup, ...]) -> None:
    """Records where an unfinished run runs, or refuses to resume it elsewhere."""
    here, finished = provenance.describe(), finished_seeds(folder)
    for group in groups:
        suffix = suffix_of(group, groups)
        path, checkpoints = (
            folder / f"env{suffix}.json",
            folder / f"checkpoints{suffix}",
        )
        if set(group) <= finished:
            continue
        if path.exists() and _has_checkpoint(checkpoints):
            different = provenance.differences(files.read_json(path, {}), here)
            if different:
                raise RunError(
                    f"{folder} cannot resume exactly, it began with "
                    f"{', '.join(different)}: delete {path.name} there to go on "
                    f"all the same, or {checkpoints.name} to start anew"
                )
        files.write_json(path, here)


def _has_checkpoint(folder: pathlib.Path) -> bool:
    return any(
        path.name.isdigit() for level in ("*", "*/*") for path in folder.glob(level)
    )


def _make(folder: pathlib.Path) -> list[pathlib.Path]:
    """Makes a folder and those above it; returns those that were not there."""
    made = []
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):  # made by another process just now
            path.mkdir()
            made.append(path)
    return made


def _remove_empty(folders: list[pathlib.Path]) -> None:
    """Removes those that hold nothing."""
    for path in reversed(folders):
        with contextlib.suppress(OSError):
            path.rmdir()
