"""Algorithms for independent arms."""
