"""Speed and memory of this testbed and of the usual way, side by side."""
