"""Seconds and memory of each group of scores for a model of 2,000 residues in a map of 220^3 voxels.

python benchmarks/evaluation_speed.py MODEL     (such as $CRYO2STRUCT_DATA/real/hcn4_6gyn/model.cif)
"""

import resource
import sys
import time

import numpy as np

from cryo2struct.density.simulate import simulate
from cryo2struct.evaluation.against_target import against_target
from cryo2struct.evaluation.ca import ca_points, score_ca
from cryo2struct.evaluation.chain_comparison import chain_comparison
from cryo2struct.evaluation.geometry import geometry
from cryo2struct.evaluation.map_model import map_model
from cryo2struct.evaluation.q_score import q_scores
from cryo2struct.io.models import read_structure
from cryo2struct.objects import GridFrame

EDGE, RESOLUTION, NOISE = 220, 3.0, 0.5  # voxels, angstrom, angstrom per coordinate


def main() -> None:
    """The structure against itself with an error in each coordinate."""
    target = read_structure(sys.argv[1])
    model = target.clone()
    rng = np.random.default_rng(0)
    for site in model[0].all():
        site.atom.pos += type(site.atom.pos)(*rng.normal(scale=NOISE, size=3))
    places = np.array([site.atom.pos.tolist() for site in model[0].all()])
    low, high = places.min(axis=0) - 8, places.max(axis=0) + 8
    voxel = float((high - low).max()) / EDGE
    density = simulate(target, GridFrame((EDGE,) * 3, np.full(3, voxel), low), RESOLUTION)
    print(f"{len(ca_points(model))} residues, {len(places)} atoms, {EDGE}^3 voxels of {voxel:.2f} A\n")
    print("| scores | seconds |\n|---|---|")
    total = 0.0
    for name, score in (
        ("chain_comparison", lambda: chain_comparison(target, model)),
        ("CA positions", lambda: score_ca(model, target)),
        ("TM-score, lDDT, register", lambda: against_target(model, target)),
        ("geometry", lambda: geometry(model)),
        ("correlation and FSC with the map", lambda: map_model(model, density, RESOLUTION)),
        ("all but Q-score", None),
        ("Q-score", lambda: q_scores(model, density)),
    ):
        start = time.monotonic()
        if score is not None:
            score()
        seconds = time.monotonic() - start if score is not None else total
        total += seconds
        print(f"| {name} | {seconds:.1f} |", flush=True)
    print(f"\nlargest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
