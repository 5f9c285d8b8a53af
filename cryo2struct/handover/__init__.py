"""What refinement programs and viewers need to go on from a finished model."""

from cryo2struct.handover.folder import FOLDER, Handover, write_handover

__all__ = ["FOLDER", "Handover", "write_handover"]
