"""Which test files are about a module: found by what they import and mention.

Nearest first: the file of the module's name; files that import the module or what it
defines; files that mention what it registers; those that walk through its registry; and
files that use a helper of `tests/` that does one of these. A module that none of them
reaches is tested through the modules that import it.
"""

import ast
import collections
import functools
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parent.parent
PACKAGES = {
    name: ROOT / "envs" if name == "envs" else ROOT / "icrl" / name
    for name in (
        "agents",
        "algorithms",
        "envs",
        "evaluation",
        "models",
        "pretraining",
        "tokenizers",
        "training",
    )
}
MOST = 5  # test files of one module: those farther off cost time and say little of it
NAMED, IMPORTED, MENTIONED, WALKED, HELPED = range(5)

# Registered names are plain words ("mean", "step"). A test means what is registered
# only if it uses one of these too; a family's name has a version and needs none.
SAID_WITH = {
    "icrl/algorithms/": {"algorithms", "ALGORITHMS"},
    "icrl/models/joins/": {"JOINS", "TransformerConfig"},
    "icrl/models/mixers/": {"MIXERS", "TransformerConfig"},
    "icrl/tokenizers/": {"TOKENIZERS", "Recipe"},
}
# Tests that walk through a whole registry.
WALKS = {
    "envs/": {"envs.names", "envs.registry.FAMILIES.names"},
    "icrl/algorithms/": {"icrl.algorithms.ALGORITHMS.names"},
    "icrl/models/joins/": {"icrl.registries.JOINS.names"},
    "icrl/models/mixers/": {"icrl.registries.MIXERS.names"},
    "icrl/tokenizers/": {"icrl.tokenizers.TOKENIZERS.names"},
}
# Where the rule finds too little: these come first.
SMOKE = "tests/test_experiments.py::test_a_smoke_run_leaves_what_the_contract_says"
BY_HAND = {
    "icrl/pretraining/demonstrations.py": (
        f"{SMOKE}[dpt_stitching]",
        f"{SMOKE}[dpt_dark_room]",
    ),
}


@functools.cache
def modules() -> dict[str, str]:
    """Every file of the packages, relative to the root, and its package here."""
    return {
        str(path.relative_to(ROOT)): name
        for name, folder in PACKAGES.items()
        for path in sorted(folder.rglob("*.py"))
    }


@functools.cache
def _stems() -> collections.Counter[str]:
    """How many modules share a file's name ("registry", "base")."""
    return collections.Counter(pathlib.Path(path).stem for path in modules())


@functools.cache
def mirror() -> dict[str, tuple[str, ...]]:
    """Test files of every module of the packages, nearest first, at most `MOST`."""
    near = {path: _near(path) for path in modules()}
    users = collections.defaultdict(set)
    for path in modules():
        for used in _mentions(ROOT / path).files:
            users[used].add(path)
    found = {}
    for path, tests in near.items():
        seen = layer = {path}
        while not tests and layer:
            layer = set().union(*(users[module] for module in layer)) - seen
            seen = seen | layer
            tests = _merged(near[module] for module in sorted(layer))
        if not tests and path.endswith("__init__.py"):  # what it holds is defined below
            folder = path.removesuffix("__init__.py")
            tests = _merged(near[m] for m in near if m.startswith(folder))
        ordered = sorted(tests, key=lambda name: (tests[name], name))
        first = BY_HAND.get(path, ())
        found[path] = (*first, *(f"tests/{name}.py" for name in ordered))[:MOST]
    return found


def _merged(
    all_tests: Iterable[dict[str, tuple[int, int]]],
) -> dict[str, tuple[int, int]]:
    """The nearest that each test is to any of some modules."""
    merged = {}
    for tests in all_tests:
        for name, place in tests.items():
            merged[name] = min(place, merged.get(name, place))
    return merged


def _near(path: str) -> dict[str, tuple[int, int]]:
    """How near tests are to a module: what ties them; minus how often they name it."""
    places = {
        test.stem: _place(path, test) for test in (ROOT / "tests").glob("test_*.py")
    }
    return {name: place for name, place in places.items() if place}


@functools.cache
def _place(path: str, test: pathlib.Path) -> tuple[int, int] | None:
    mentions = _mentions(test)
    registered = _registered(path)
    folder = next((f for f in WALKS if path.startswith(f)), "")
    mentioned = 0
    if folder not in SAID_WITH or SAID_WITH[folder] & mentions.names:
        mentioned = sum(mentions.strings[name] for name in registered)
    said = mentions.files[path]
    stem = pathlib.Path(path).stem
    if test.stem == f"test_{stem}" and (said or _stems()[stem] == 1):
        return NAMED, -said - mentioned
    if said:
        return IMPORTED, -said - mentioned
    if mentioned:
        return MENTIONED, -mentioned
    if registered and WALKS[folder] & mentions.dotted.keys():
        return WALKED, 0
    helpers = (ROOT / "tests" / f"{name}.py" for name in mentions.helpers)
    if any(_place(path, helper) for helper in helpers):
        return HELPED, 0
    return None


class Mentions(NamedTuple):
    """What a file imports, names and writes in strings."""

    bound: dict[str, str]  # name -> whole name of what it was imported as
    dotted: collections.Counter[str]  # whole names of imports and their attributes
    files: collections.Counter[str]  # those of the packages that define these
    names: set[str]
    strings: collections.Counter[str]
    helpers: set[str]  # modules of tests/ that it imports


@functools.cache
def _mentions(path: pathlib.Path) -> Mentions:
    nodes = _nodes(path)
    bound = dict(pair for node in nodes for pair in _imported(node))
    dotted = collections.Counter(bound.values())
    names, strings = set(bound), collections.Counter()
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings[node.value] += 1
        elif isinstance(node, ast.Name | ast.Attribute):
            top, rest = _chain(node)
            names.add(top)
            if top in bound:
                dotted[bound[top] + rest] += 1
    files = collections.Counter()
    for name, count in dotted.items():
        file = resolve(name)
        if file and ROOT / file != path:
            files[file] += count
    tops = {meaning.partition(".")[0] for meaning in bound.values()}
    helpers = {top for top in tops if (ROOT / "tests" / f"{top}.py").exists()}
    return Mentions(bound, dotted, files, names, strings, helpers)


@functools.cache
def _nodes(path: pathlib.Path) -> list[ast.AST]:
    """Those of a file that say something: in the order of `ast.walk`."""
    kinds = (ast.Import, ast.ImportFrom, ast.Call, ast.Constant, ast.Name)
    tree = ast.walk(ast.parse(path.read_text()))
    return [node for node in tree if isinstance(node, (*kinds, ast.Attribute))]


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Names that a statement binds, and the whole names of what they mean."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (top, top)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _last(node: ast.AST) -> str:
    """The last name of `a.b.c`: "c"."""
    top, rest = _chain(node)
    return f"{top}{rest}".rpartition(".")[2]


def _chain(node: ast.AST) -> tuple[str, str]:
    """Of `a.b.c`: "a" and ".b.c"; of anything else but a name: two empty strings."""
    rest = ""
    while isinstance(node, ast.Attribute):
        node, rest = node.value, f".{node.attr}{rest}"
    return (node.id, rest) if isinstance(node, ast.Name) else ("", "")


@functools.cache
def resolve(dotted: str) -> str | None:
    """The file of the packages, relative to the root, that defines a whole name."""
    parts = dotted.split(".")
    if parts[0] not in ("envs", "icrl"):
        return None
    depth = next(d for d in range(len(parts), 0, -1) if _file(*parts[:d]))
    path, rest = _file(*parts[:depth]), parts[depth:]
    if rest and path.endswith("__init__.py"):
        meaning = _exported(path).get(rest[0])
        if meaning and meaning != ".".join(parts[: depth + 1]):
            return resolve(".".join((meaning, *rest[1:])))
        folder = path.removesuffix("__init__.py")
        for other in modules():
            if other.startswith(folder) and rest[0] in _registered(other):
                return other
    return path


@functools.cache
def _exported(path: str) -> dict[str, str]:
    """What a package's `__init__` imports under which names."""
    return dict(pair for node in _nodes(ROOT / path) for pair in _imported(node))


@functools.cache
def _file(*parts: str) -> str:
    """The file of a module or package; an empty string if there is none."""
    stem = pathlib.Path(*parts)
    paths = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((str(path) for path in paths if (ROOT / path).exists()), "")


@functools.cache
def _registered(path: str) -> frozenset[str]:
    """Names under which a module registers things; names of families have versions."""
    names = set()
    for node in _nodes(ROOT / path):
        if isinstance(node, ast.Call) and _last(node.func) == "register":
            names |= {
                inner.value
                for argument in (*node.args, *node.keywords)
                for inner in ast.walk(argument)
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
            }
    if path.startswith("envs/"):
        return frozenset(name for name in names if re.fullmatch(r"[\w-]+-v\d+", name))
    return frozenset(names)
