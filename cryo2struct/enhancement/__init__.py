"""Maps made clearer: by B factor, by what two half maps agree on, by a network; a second opinion, never deposited."""

from cryo2struct.enhancement.guard import Guard, Residues, built_residues, guard
from cryo2struct.enhancement.half_maps import HalfMaps
from cryo2struct.enhancement.keep import keep
from cryo2struct.enhancement.methods import METHODS, Enhanced, enhance

__all__ = ["METHODS", "Enhanced", "Guard", "HalfMaps", "Residues", "built_residues", "enhance", "guard", "keep"]
