"""Tokenizers by name: each file here registers one under its own.

Other packages name a module with a tokenizer under the entry-point group
`icrl.tokenizers`; the name of the entry point is the tokenizer's. Nothing here imports
jax.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from envs.registry import Registry

if TYPE_CHECKING:
    from icrl.tokenizers.base import Tokenizer

TOKENIZERS: "Registry[Callable[..., Tokenizer]]" = Registry(
    "tokenizer",
    "icrl.tokenizers",
    "icrl.tokenizers",
    skip=("base", "encoding", "registry"),
    named_by_file=True,
)
register = TOKENIZERS.register  # decorates a factory: `family -> Tokenizer`
