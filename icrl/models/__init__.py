"""Sequence models: each maps tokens to logits, in parallel or one token at a time."""

from icrl.models.base import ModelConfig, SequenceModel
from icrl.models.mixer import Mixer, Recurrence
from icrl.models.transformer import Transformer

__all__ = ["Mixer", "ModelConfig", "Recurrence", "SequenceModel", "Transformer"]
