"""The neural networks and their weights."""
