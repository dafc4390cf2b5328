"""How an interaction becomes tokens."""
