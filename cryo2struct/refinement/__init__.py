"""Real-space refinement of a model against a map."""
