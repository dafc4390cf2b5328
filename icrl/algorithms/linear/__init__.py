"""Algorithms for linear bandits."""
