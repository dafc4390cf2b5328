"""The page on constructions counts heads and units as the constructions do."""

import pathlib
import re

import numpy as np
import pytest

import envs
import icrl.theory
from icrl.theory.bernoulli_thompson import bernoulli_thompson
from icrl.theory.gadgets import Repeated
from icrl.theory.linear_thompson import linear_thompson
from icrl.theory.linucb import linucb
from icrl.theory.settings import soft_linucb, soft_ucb_vi
from icrl.theory.ucb_vi import ucb_vi

PAGE = pathlib.Path(icrl.theory.__file__).with_name("README.md").read_text()
LINEAR = soft_linucb(200, 10, 5).family
BERNOULLI = envs.family("BernoulliBandit-Lin2023-v0")
MDP = soft_ucb_vi(5, 3, 5, 50).family
CONSTRUCTIONS = {
    "newton_schulz": lambda: linucb(LINEAR),
    "accelerated": lambda: linucb(LINEAR, scheme="accelerated", depth=301),
    "thompson": lambda: linear_thompson(LINEAR),
    "pade": lambda: linear_thompson(LINEAR, scheme="pade"),
    "bernoulli": lambda: bernoulli_thompson(BERNOULLI),
    "ucb_vi": lambda: ucb_vi(MDP, num_episodes=50),
}


def written(name):
    """(heads, units, fields) of each layer, as a table of the page has them."""
    table = PAGE.split(f"<!-- table: {name} -->\n")[1].split("\n\n")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.split("\n")
    ]
    groups = []
    for layers, _, _, fields, heads, units in rows[2:]:
        layer = int(heads), int(units), re.findall("`(.*?)`", fields)
        if layers == "and":
            groups[-1][1].append(layer)
        else:
            groups.append((int(layers.removesuffix(" ×")), [layer]))
    return [layer for times, group in groups for layer in group * times]


def changed(construction, layer):
    """Names of the fields into which a layer writes."""
    forms = [form for head in layer.heads for form in head.to]
    forms += [unit.to for unit in layer.units]
    places = {at for form in forms for at in form.weights}
    names = construction.stream.names.items()
    return {
        name
        for name, field in names
        if any(places & form.weights.keys() for form in np.ravel(field))
    }


@pytest.mark.parametrize("name", CONSTRUCTIONS)
def test_tables_of_the_page(name):
    construction = CONSTRUCTIONS[name]()
    layers = [
        layer
        for part in construction.layers
        for layer in (part.layers if isinstance(part, Repeated) else [part])
    ]
    found = [(len(layer.heads), len(layer.units)) for layer in layers]
    said = written(name)
    assert [layer[:2] for layer in said] == found
    for layer, (*_, fields) in zip(layers, said, strict=True):
        assert set(fields) <= changed(construction, layer)


def test_every_table_is_tested():
    assert set(re.findall("<!-- table: (.*) -->", PAGE)) == set(CONSTRUCTIONS)
