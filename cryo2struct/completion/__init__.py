"""From a C-alpha trace to backbone atoms."""

from cryo2struct.completion.backbone import complete

__all__ = ["complete"]
