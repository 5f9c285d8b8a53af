"""Enhancement of a map as a second opinion, and what it takes away."""
