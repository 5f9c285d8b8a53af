"""Structures and maps that networks are trained on."""
