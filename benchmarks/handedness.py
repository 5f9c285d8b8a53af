"""Turns of helices in maps and in their mirror images, and the hand that is read from them.

python benchmarks/handedness.py MAP [MAP ...] [--rotations 4]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cryo2struct.density.resample import mirrored
from cryo2struct.finding import predict_and_pick
from cryo2struct.io.maps import read_map
from cryo2struct.record import Recorder
from cryo2struct.settings import load_settings


def main() -> None:
    """Print a row per map."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("maps", nargs="+", type=Path)
    parser.add_argument("--rotations", type=int, default=4, help="as build does")
    options = parser.parse_args()
    # Turns are counted before residues are looked at: that step is kept short.
    changes = {"prediction.rotations": options.rotations, "residues.rounds": 0, "residues.pairs": 1}
    settings = load_settings(None, changes)
    print("| map | right | left | hand | mirrored: right | left | hand |\n|---|---|---|---|---|---|---|")
    for path in options.maps:
        density, _ = read_map(path)
        cells = []
        for shown in (density, mirrored(density, density.frame)):
            record = Recorder()
            predict_and_pick(shown, settings, None, record)
            found = record.counts["handedness"]
            cells += [found["right"], found["left"], found["hand"]]
        print("|", path.parent.name, path.name, "|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
