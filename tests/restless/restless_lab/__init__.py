"""A restless bandit, its index policy and an experiment for icrl."""
