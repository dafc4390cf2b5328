"""Panels that a run has played before it was stopped: a run of hours goes on from them.

    panels/<name>/    as in a finished run: summary.json, figure.npz, scores.npz

A panel is taken again only for the same seeds, on the same machine and versions, and
from the same commit: another evaluation would give other numbers in silence. In a tree
with changes that no commit has, all panels are played again.
"""

import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from icrl.errors import RunError
from icrl.runs import files, provenance, saved

FOLDER = "panels"
KEPT = {**saved.SUMMARY, "seeds": [int], "made_by": dict}


def keep(
    folder: pathlib.Path,
    panel: str,
    made_for: Mapping[str, Any],
    numbers: Sequence[Any],
) -> None:
    """Writes a panel's numbers, as `saved.write_numbers` does.

    Args:
        folder: of the run.
        panel: its name.
        made_for: the run's `experiment` and `seeds`.
        numbers: rows, arrays of the figure, and values behind the rows.

    Raises:
        OSError: if the disk is full.
    """
    made_by = _source()
    if made_by is not None:
        rows, arrays, finals = numbers
        summary = {**made_for, "made_by": made_by, "rows": list(rows)}
        saved.write_numbers(folder / FOLDER / panel, summary, arrays, finals)


def kept(
    folder: pathlib.Path, panel: str, made_for: Mapping[str, Any]
) -> tuple[list[Any], Any, Any] | None:
    """Returns the numbers of a panel that was kept; None if it must be played.

    Args:
        folder: of the run.
        panel: its name.
        made_for: the run's `experiment` and `seeds`, which must be those it was kept
            for.
    """
    path, made_by = folder / FOLDER / panel, _source()
    try:
        found = files.read_json(path / "summary.json", KEPT)
        if {**found, **made_for, "made_by": made_by} != found:
            return None
        arrays = saved.read_arrays(path)
        return found["rows"], arrays, saved.read_arrays(path, "scores")
    except RunError:  # none was kept, or half of it
        return None


def _source() -> dict[str, Any] | None:
    """What plays here; None if no commit holds it."""
    described = provenance.describe()
    return None if str(described.get("git_commit")).endswith("+") else described


def clear(folder: pathlib.Path) -> None:
    """Removes the panels, once the run has its own numbers."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
