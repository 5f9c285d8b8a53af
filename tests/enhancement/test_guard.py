from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from planted import FRAME, ION, LIGAND, as_map, density, molecule, noise

from cryo2struct.density.fourier import sharpen
from cryo2struct.enhancement.guard import Entry, Guard, Residues, guard
from cryo2struct.enhancement.keep import keep
from cryo2struct.errors import InputError
from cryo2struct.objects import DensityMap, GridFrame

ATOMS = molecule()
PROTEIN = density(ATOMS)
ION_DENSITY, LIGAND_DENSITY = density(ION[None], 1.5), density(LIGAND)
ORIGINAL = as_map(3 * (PROTEIN + ION_DENSITY + LIGAND_DENSITY + noise(1)) + 0.7)


def enhanced(values: np.ndarray) -> DensityMap:
    """Sharpened, on a scale of its own, with a little noise of its own."""
    return as_map(0.02 * sharpen(values + noise(2, 0.01), FRAME.voxel, -12.0) - 4)


def near(entries: tuple[Entry, ...], place: np.ndarray, reach: float = 2.0) -> list[Entry]:
    return [entry for entry in entries if np.linalg.norm(np.array(entry.peaks) - place, axis=1).min() < reach]


@pytest.fixture(scope="module")
def found() -> Guard:
    residues = Residues([f"A {number}" for number in range(len(ATOMS))], ATOMS)
    return guard(ORIGINAL, enhanced(PROTEIN), residues)


def test_lists_the_ion_and_the_ligand_that_are_gone_and_nothing_else(found: Guard) -> None:
    assert len(found.removed) == 2
    (ion,), (ligand,) = near(found.removed, ION, 1.0), near(found.removed, LIGAND[3])
    assert (ion.kind, ion.left) == ("ion or water", pytest.approx(0, abs=0.1))
    assert ligand.kind in ("ligand", "sugar or nucleic acid")
    assert ligand.volume > 2 * ion.volume
    assert ligand.elongation > 1.5 * ion.elongation
    assert ion.sigmas == pytest.approx(1.5 / 0.05, rel=0.3)


def test_names_the_nearest_residue(found: Guard) -> None:
    for entry in found.removed:
        distance = np.linalg.norm(ATOMS - entry.xyz, axis=1)
        assert entry.residue == f"A {distance.argmin()}"
        assert entry.residue_distance == pytest.approx(distance.min())


def test_the_difference_is_what_was_removed_at_the_original_scale(found: Guard) -> None:
    removed = 3 * (ION_DENSITY + LIGAND_DENSITY)
    place = removed > 0.5
    assert np.corrcoef(found.difference.values[place], removed[place])[0, 1] > 0.9
    assert abs(np.median(found.difference.values[PROTEIN > 0.5])) < 0.3


def test_a_weakened_ion_is_listed_with_what_is_left() -> None:
    (ion,) = guard(ORIGINAL, enhanced(PROTEIN + 0.3 * ION_DENSITY + LIGAND_DENSITY)).removed
    assert np.linalg.norm(ion.xyz - ION) < 1
    assert ion.left == pytest.approx(0.3, abs=0.1)


def test_what_was_invented_is_listed() -> None:
    found = guard(as_map(PROTEIN + noise(1)), enhanced(PROTEIN + ION_DENSITY))
    (ion,) = found.invented
    assert np.linalg.norm(ion.xyz - ION) < 1
    assert not found.removed


@pytest.mark.parametrize("b_factor", [-60.0, 0.0, 60.0])
def test_a_sharpened_scaled_original_lacks_nothing(b_factor: float) -> None:
    changed = as_map(17 * sharpen(ORIGINAL.values, FRAME.voxel, b_factor) - 3)
    found = guard(ORIGINAL, changed)
    assert found.removed == found.invented == ()
    assert np.abs(found.difference.values).max() < 0.1 * np.ptp(ORIGINAL.values)


def test_a_scale_that_changes_over_the_map_is_no_removal() -> None:
    ramp = np.linspace(0.6, 1.6, FRAME.shape[2])
    found = guard(ORIGINAL, as_map(ramp * (ORIGINAL.values - 0.7)))
    assert found.removed == found.invented == ()


def test_a_list_goes_into_json_and_a_table(found: Guard) -> None:
    read = json.loads(json.dumps(found.as_dict()))
    assert [entry["kind"] for entry in read["removed"]] == [entry.kind for entry in found.removed]
    headings, *lines = found.table()
    assert len(lines) == 2
    assert {len(line) for line in lines} == {len(headings)}


def test_noise_that_cannot_be_seen_is_said() -> None:
    inside = density(ATOMS, 1.0) > 0.2
    masked = as_map(np.where(inside | (ION_DENSITY > 0.1), np.abs(PROTEIN + ION_DENSITY), 0))
    found = guard(masked, enhanced(PROTEIN))
    assert near(found.removed, ION)
    assert found.removed[0].sigmas is None
    assert "no noise" in found.notes[0]


def test_keep_puts_back_what_was_removed(found: Guard) -> None:
    changed = enhanced(PROTEIN)
    kept = keep(ORIGINAL, changed, found)
    assert not guard(ORIGINAL, kept).removed
    wanted = enhanced(PROTEIN + ION_DENSITY + LIGAND_DENSITY).values + 4
    voxel = tuple(np.round(FRAME.to_index(ION)).astype(int))
    assert kept.values[voxel] + 4 == pytest.approx(wanted[voxel], rel=0.35)
    far = np.linalg.norm(FRAME.to_xyz(np.argwhere(np.ones(FRAME.shape)))[:, None] - [ION, LIGAND[3]], axis=-1).min(1)
    same = (kept.values == changed.values).ravel()
    assert same[far > 12].all()
    assert not same[far < 1].any()


def test_keep_of_an_empty_mask_changes_nothing() -> None:
    changed = enhanced(PROTEIN)
    assert np.array_equal(keep(ORIGINAL, changed, np.zeros(FRAME.shape)).values, changed.values)


def test_maps_and_masks_that_do_not_fit_are_refused() -> None:
    moved = replace(ORIGINAL, frame=GridFrame(FRAME.shape, FRAME.voxel, FRAME.origin + 1))
    with pytest.raises(InputError, match="grids differ"):
        guard(ORIGINAL, moved)
    with pytest.raises(InputError, match="nothing to compare"):
        guard(ORIGINAL, as_map(np.zeros(FRAME.shape)))
    with pytest.raises(InputError, match="mask"):
        keep(ORIGINAL, ORIGINAL, np.ones((3, 3, 3)))
