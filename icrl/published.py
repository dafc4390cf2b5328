"""Published numbers: a table beside the scripts, `published.csv`, one value a row.

| column | holds |
| --- | --- |
| experiment, panel, agent | what the value is compared with, as in `summary.json` |
| metric | what it is |
| step | where it stands on the panel's horizontal axis |
| value | as printed, or as read out of a figure |
| entry | of a row of the summary: `published`, or another kind of value known before |
| source | paper and figure, and how it was read |

A panel finds its values by its name. Nothing here imports jax.
"""

import csv
import functools
import math
import pathlib
from typing import TypeAlias

COLUMNS = ("experiment", "panel", "agent", "metric", "step", "value", "entry", "source")
Values: TypeAlias = dict[str, dict[int, float]]  # agent -> step -> value


def values(script: str, panel: str, entry: str = "published") -> Values:
    """Returns the values of a panel that stand in the table beside its script.

    Args:
        script: file of the experiment; its folder may have a table.
        panel: name of the panel.
        entry: which kind of values.

    Returns:
        Values by agent and step, in the order of the table; none without a table.

    Raises:
        ValueError: if a row of the table is not as its columns say.
    """
    path = pathlib.Path(script)
    found: Values = {}
    for row in _rows(path.with_name("published.csv")):
        if row[:2] == (path.stem, panel) and row[6] == entry:
            found.setdefault(row[2], {})[int(row[4])] = float(row[5])
    return found


@functools.cache
def _rows(path: pathlib.Path) -> tuple[tuple[str, ...], ...]:
    """The rows of a table, each of them checked."""
    if not path.exists():
        return ()
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = (tuple(row) for row in csv.reader(file))
    if header != COLUMNS:
        raise ValueError(f"columns of {path} must be {COLUMNS}, got {header}")
    for row in rows:
        _check(path, row)
    keys = [(*row[:5], row[6]) for row in rows]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"a value of {path} must stand there once, got twice {twice}")
    return tuple(rows)


def _check(path: pathlib.Path, row: tuple[str, ...]) -> None:
    """Raises `ValueError` unless a row has every column, a step and a value."""
    try:
        right = len(row) == len(COLUMNS) and all(row) and int(row[4]) >= 0
        right = right and math.isfinite(float(row[5]))
    except ValueError:
        right = False
    if not right:
        raise ValueError(
            f"a row of {path} must have {', '.join(COLUMNS)}, with a whole number as "
            f"step and a number as value, got {row}"
        )
