"""From a C-alpha trace to backbone and side chains."""

from cryo2struct.completion.backbone import complete
from cryo2struct.completion.side_chains import place_side_chains

__all__ = ["complete", "place_side_chains"]
