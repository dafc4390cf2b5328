"""Joins, one a file: how a block adds to the stream."""
