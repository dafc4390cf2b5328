"""How an interaction becomes tokens: one tokenizer a file, found by its name.

Nothing heavy is imported here: configs check names as the command line starts.
"""

from icrl.tokenizers.registry import TOKENIZERS, register

__all__ = ["TOKENIZERS", "register"]
