"""Sequence models: each maps tokens to logits, in parallel or one token at a time."""

from icrl.models.base import SequenceModel, TokenMixer
from icrl.models.transformer import Transformer

__all__ = ["SequenceModel", "TokenMixer", "Transformer"]
