"""Map-model scores beside those of mmtbx.maps.map_model_cc and mtriage: differences, and seconds.

python benchmarks/map_model.py $CRYO2STRUCT_DATA
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from cryo2struct.evaluation.map_model import map_model
from cryo2struct.io.maps import read_map
from cryo2struct.io.models import read_structure

SCORES = ("cc_mask", "cc_volume", "cc_peaks", "cc_box")
CROSSINGS = ("d_fsc_model_05", "d_fsc_model_0143")


def main() -> None:
    """One row per map: ours minus theirs, the largest of chains, residues and both curves; seconds of one core."""
    columns = ["map", *SCORES, "chains", "residues", "curve, mean", "d 0.5, A", "d 0.143, A", "seconds"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    data = Path(sys.argv[1])
    for file in sorted(data.glob("map_model*/*/golden_map_model.json")):
        folder = file.parent if file.parent.parent.name == "map_model" else data / "real" / file.parent.name
        golden = json.loads(file.read_text())
        density, _ = read_map(folder / "map.mrc.gz")
        structure = read_structure(next(folder.glob("model.cif*")))
        start = time.process_time()
        found = map_model(structure, density, golden["resolution_given"])
        seconds = time.process_time() - start
        wanted = golden["map_model_cc"]
        cells = [f"{getattr(found, name) - wanted[name]:+.4f}" for name in SCORES]
        chains = [abs(a.cc - b["cc"]) for a, b in zip(found.cc_per_chain, wanted["per_chain"], strict=True)]
        residues = [abs(a - b) for a, b in zip(our_residues(found), their_residues(wanted), strict=True)]
        curves, places = [], {name: [0.0] for name in CROSSINGS}
        for name in ("unmasked", "masked"):
            ours, theirs = getattr(found, f"fsc_{name}"), golden["mtriage_resolution_given"][name]
            curves.append(np.abs(ours.fsc - theirs["fsc_curve"]["fsc"]).mean())
            for crossing in CROSSINGS:
                places[crossing].append(abs(getattr(ours, crossing) - theirs[crossing]))
        cells += [f"{max(chains):.4f}", f"{max(residues):.4f}", f"{max(curves):.5f}"]
        cells += [f"{max(differences):.3f}" for differences in places.values()]
        print(f"| {golden['case']} | {' | '.join(cells)} | {seconds:.1f} |", flush=True)


def our_residues(found):
    """Correlations sorted by residue."""
    return [r.cc for r in sorted(found.per_residue, key=lambda r: (r.chain, r.number, r.insertion, r.name.strip()))]


def their_residues(wanted):
    """Correlations sorted by residue."""
    keys = [(r["chain"], int(r["resseq"]), r["icode"].strip(), r["resname"].strip()) for r in wanted["per_residue"]]
    return [wanted["per_residue"][n]["cc"] for n in sorted(range(len(keys)), key=keys.__getitem__)]


if __name__ == "__main__":
    main()
