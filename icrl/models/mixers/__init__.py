"""Mixers, one a file: how a block looks back in time."""
