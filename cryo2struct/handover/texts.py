"""Parameter files and commands for the programs that take a model further."""

from __future__ import annotations

import json

MAP, MODEL = "map.mrc", "model_for_refinement.cif"
PHENIX_FILE, COMMANDS_FILE, VIEW_FILE, UNBUILT_FILE, NOTES_FILE = (
    "phenix_refine.eff",
    "commands.sh",
    "view.cxc",
    "unbuilt.csv",
    "README.txt",
)


def phenix_parameters(resolution: float) -> str:
    """Parameters of phenix.real_space_refine that differ from its defaults: no forced symmetry of copies."""
    return f"""data_manager {{
  real_map_files = "{MAP}"
  model {{
    file = "{MODEL}"
    type = electron
  }}
}}
resolution = {resolution:.2f}
ncs_constraints = False
pdb_interpretation {{
  secondary_structure {{
    enabled = True
  }}
}}
"""


def commands(resolution: float) -> str:
    """Shell commands that start a refinement in this folder."""
    return f"""# Run in this folder, one of the two.
phenix.real_space_refine {PHENIX_FILE}
# With both half maps (better): --halfmaps half1.mrc half2.mrc instead of --map. Needs CCP4 or its monomer library.
servalcat refine_spa_norefmac --model {MODEL} --map {MAP} --resolution {resolution:.2f} --ncycle 10
"""


def view(contour: float) -> str:
    """ChimeraX commands: the map at a contour, the model as a ribbon coloured by confidence."""
    return f"""open {MAP}
open {json.dumps("model.cif")}
volume #1 level {contour:.4g} style surface transparency 0.6 color gray
cartoon #2
hide #2 atoms
color bfactor #2 palette alphafold
view #2
"""


def notes(title: str, shift: list[float], lost: int, segments: int) -> str:
    """What is in the folder and how to go on, for a person."""
    moved = (
        "Map and models are in the frame of the input map."
        if not any(shift)
        else "The input map's ORIGIN is no whole number of voxels: map and models of this folder are moved by "
        + ", ".join(f"{step:.4f}" for step in shift)
        + " A (x, y, z) from the input's frame."
    )
    return f"""{title}

{MODEL}  all atoms, B factors of 20 to 150 A^2 estimated from the density, occupancies of 1
model.cif                 the same atoms, confidence of 0 to 100 in the B column: for viewers, not for refinement
{MAP}                   the input density, unchanged, NSTART in whole voxels and ORIGIN 0
{PHENIX_FILE}         phenix.real_space_refine {PHENIX_FILE}
{COMMANDS_FILE}               the same and the command of servalcat
{VIEW_FILE}                  ChimeraX: open {VIEW_FILE}
{UNBUILT_FILE}               ranges of each chain that were not built

{moved}
{segments} segments; a gap in the numbers, or a C-N distance above 2.5 A, is a chain break. {lost} residues with a
C-alpha alone are in no file of this folder. A chain of UNK residues, if there is one, follows density that no sequence
explains; half of its residues are in the right order: give them a sequence, or delete them.

Coot: open {MODEL} and {MAP}; File > Open, Map: choose it as the map to refine against (Calculate > Map Skeleton is not
needed). Refine residues beside breaks first.
ISOLDE: run {VIEW_FILE} in ChimeraX, then "addh #2", "clipper associate #1 toModel #2", "isolde start"; residues below a
confidence of 70 need a look.
"""
