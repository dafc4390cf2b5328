"""Algorithms for tabular MDPs."""
