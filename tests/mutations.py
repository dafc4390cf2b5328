"""What can be changed in a file, by cosmic-ray's operators, and a draw of it."""

import ast
import collections
import functools
import hashlib
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from mirror import modules

Position = tuple[int, int]  # line from 1, column from 0 in characters


class Mutant(NamedTuple):
    """One change to one file."""

    file: str
    operator: str
    occurrence: int  # which of the operator's changes in the file
    line: int
    text: str  # of the line
    place: str  # what is changed, named so that edits elsewhere leave it as it is
    variant: int  # which of the operator's changes at the place

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.operator}"


def work_items(file: str, source: str) -> Iterator[Mutant]:
    """Every change of cosmic-ray's operators to a file, but for what it does not run.

    Left out are imports, annotations, messages of errors, what only a type checker
    reads, and the marks `*` and `/` in a signature, which are no arithmetic. No
    operator changes a docstring.
    """
    from cosmic_ray.ast import ast_nodes, get_ast

    spans = list(left_out(source))
    lines = source.split("\n")
    occurrences = collections.Counter()
    variants = collections.Counter()
    for node in ast_nodes(get_ast(source)):
        if node.type in ("name", "string", "newline", "endmarker"):
            continue  # no operator changes these, and they are most of the nodes
        if getattr(node, "value", "") in (*"()[]{},.:=", "->"):
            continue
        in_signature = node.parent and node.parent.type in ("parameters", "lambdef")
        for name, operator in _operators().items():
            for start, end in operator.mutation_positions(node):
                occurrence = occurrences[name]
                occurrences[name] += 1
                inside = any(a <= start and end <= b for a, b in spans)
                if inside or (in_signature and node.type == "operator"):
                    continue
                text = lines[start[0] - 1]
                nth = lines[: start[0] - 1].count(text)
                place = f"{file} {text} {nth} {start[1]}"
                variant = variants[place, name]
                variants[place, name] += 1
                yield Mutant(
                    file, name, occurrence, start[0], text.strip(), place, variant
                )


def left_out(source: str) -> Iterator[tuple[Position, Position]]:
    """Start and end of what a program does not run, or only says."""
    lines = source.split("\n")

    def character(line, byte):
        return line, len(lines[line - 1].encode()[:byte].decode())

    for node in ast.walk(ast.parse(source)):
        for part in _not_run(node):
            end_line, end_byte = part.end_lineno, part.end_col_offset
            yield (
                character(part.lineno, part.col_offset),
                character(end_line, end_byte),
            )


def _not_run(node: Any) -> list[Any]:
    match node:
        case ast.Import() | ast.ImportFrom():
            return [node]
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return [node]
        case ast.Raise():
            return [n for n in ast.walk(node) if isinstance(n, ast.JoinedStr)]
        case ast.FunctionDef(returns=annotation) if annotation:
            return [annotation]
        case ast.arg(annotation=annotation) | ast.AnnAssign(annotation=annotation):
            return [annotation] if annotation else []
    return []


@functools.cache
def _operators() -> dict[str, Any]:
    """Those of cosmic-ray that take no options, by name."""
    from cosmic_ray import plugins

    found = {name: plugins.get_operator(name) for name in plugins.operator_names()}
    return {
        name.partition("/")[2]: operator()
        for name, operator in found.items()
        if not operator.arguments()
    }


def mutate(mutant: Mutant, source: str) -> str | None:
    """The changed source; None if it is no program, or the same one."""
    from cosmic_ray.mutating import mutate_code

    changed = mutate_code(source, _operators()[mutant.operator], mutant.occurrence)
    with warnings.catch_warnings(action="ignore"):  # `is` before a number
        try:
            compile(changed, mutant.file, "exec")  # finds more errors than parsing
        except SyntaxError:
            return None
        same = ast.dump(ast.parse(changed)) == ast.dump(ast.parse(source))
    return None if same else changed


def draw(
    mutants: Iterable[Mutant],
    number: int,
    seed: int,
    lines: Mapping[str, int],
    valid: Callable[[Mutant], bool] = lambda mutant: True,
) -> list[Mutant]:
    """Draws mutants from packages, in proportion to their lines.

    A place in the code is drawn first and then one of its mutants: otherwise nearly all
    would be arithmetic, as `+` has eleven others. Each place has its rank, a hash, so
    that an edit elsewhere, or a larger number, leaves most of a draw as it was.

    Args:
        mutants: to draw from.
        number: how many.
        seed: of the draw.
        lines: of each package.
        valid: whether a mutant is a program, and another one.
    """

    def rank(*words):
        return hashlib.sha256("\0".join((str(seed), *words)).encode()).digest()

    places = collections.defaultdict(lambda: collections.defaultdict(list))
    for mutant in mutants:
        places[modules()[mutant.file]][mutant.place].append(mutant)
    drawn = []
    for package, share in shares(number, lines).items():
        chosen = []
        for place in sorted(places[package], key=rank):
            if len(chosen) == share:
                break
            ordered = sorted(
                places[package][place],
                key=lambda m: rank(m.place, m.operator, str(m.variant)),
            )
            chosen.extend([m for m in ordered if valid(m)][:1])
        drawn.extend(sorted(chosen))
    return drawn


def shares(number: int, lines: Mapping[str, int]) -> dict[str, int]:
    """Splits a number in proportion to lines; the largest remainders are rounded up."""
    exact = {
        name: number * count / sum(lines.values()) for name, count in lines.items()
    }
    found = {name: math.floor(share) for name, share in exact.items()}
    by_rest = sorted(exact, key=lambda name: found[name] - exact[name])
    for name in by_rest[: number - sum(found.values())]:
        found[name] += 1
    return found
