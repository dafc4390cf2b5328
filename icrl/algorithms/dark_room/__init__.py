"""Algorithms for Dark Room: what hides is a goal, or an order of actions."""
