"""Scores of a model, or of candidates, against a target."""

from cryo2struct.evaluation.scores import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
