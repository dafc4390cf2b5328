"""Tables of summaries, as aligned plain lines that also survive a log file."""

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = ("panel", "agent", "metric", "mean", "95% interval")
COLUMNS += ("seeds", "tasks", "published", "exact")


def table(
    header: Sequence[str], lines: Sequence[Sequence[str]], *, left: int = 3
) -> str:
    """Returns aligned columns, the first `left` of them to the left."""
    cells = [list(header), *(list(line) for line in lines)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
    aligned = [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    aligned.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(aligned)


def rows_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the table of a summary's rows."""
    lines = [
        [
            str(row["panel"]),
            str(row["agent"]),
            str(row["metric"]),
            number(row["mean"]),
            interval(row),
            *(number(row[name]) for name in COLUMNS[5:]),
        ]
        for row in rows
    ]
    return table(COLUMNS, lines)


def compare_table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the rows of several summaries side by side.

    Args:
        summaries: summary by the name that heads its column.
    """
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for name, summary in summaries.items():
        for row in summary["rows"]:
            line = cells.setdefault((row["panel"], row["agent"], row["metric"]), {})
            line[name] = f"{number(row['mean'])} {interval(row)}".strip()
    lines = [
        [*line, *(found.get(name, "") for name in summaries)]
        for line, found in cells.items()
    ]
    return table(("panel", "agent", "metric", *summaries), lines)


def number(value: float | int | None) -> str:
    """Returns 4 significant digits; whole numbers in full; nothing for None."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:#.4g}".rstrip(".")


def interval(row: Mapping[str, Any]) -> str:
    """Returns a row's interval, "[low, high]"; nothing where it has none."""
    if row["low"] is None or row["high"] is None:
        return ""
    return f"[{number(row['low'])}, {number(row['high'])}]"
