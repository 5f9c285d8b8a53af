"""Real-space refinement of a model against a map."""

from cryo2struct.refinement.rounds import MODES, Mode, RefinedModel, refine

__all__ = ["MODES", "Mode", "RefinedModel", "refine"]
