"""Figures and pictures of trajectories."""
