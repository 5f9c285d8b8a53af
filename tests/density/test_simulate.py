from __future__ import annotations

import gemmi
import numpy as np
import pytest

from cryo2struct.density.simulate import low_pass, simulate
from cryo2struct.objects import GridFrame


def atoms(*places: tuple[str, tuple[float, float, float], float]) -> gemmi.Structure:
    """One residue of atoms: element, position and B factor."""
    residue = gemmi.Residue()
    residue.name, residue.seqid = "LIG", gemmi.SeqId(1, " ")
    for number, (element, place, b_iso) in enumerate(places):
        atom = gemmi.Atom()
        atom.name, atom.element = f"{element}{number}", gemmi.Element(element)
        atom.pos, atom.b_iso = gemmi.Position(*place), b_iso
        residue.add_atom(atom)
    chain = gemmi.Chain("A")
    chain.add_residue(residue)
    model = gemmi.Model(1)
    model.add_chain(chain)
    structure = gemmi.Structure()
    structure.add_model(model)
    return structure


def distances(frame: GridFrame, place: tuple[float, float, float]) -> np.ndarray:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in frame.shape), indexing="ij"), axis=-1)
    return np.linalg.norm(frame.to_xyz(index) - place, axis=-1)


def analytic(element: str, b_iso: float, r: np.ndarray) -> np.ndarray:
    """Sum of the Gaussians that the form factor and the B factor make in real space."""
    coefficients = gemmi.Element(element).c4322
    total = np.zeros_like(r)
    for a, b in zip(coefficients.a, coefficients.b, strict=True):
        width = b + b_iso
        total += a * (4 * np.pi / width) ** 1.5 * np.exp(-4 * np.pi**2 * r**2 / width)
    return total


def test_an_atom_is_its_form_factor_wherever_the_frame_is() -> None:
    frame = GridFrame((40, 36, 44), np.array([0.45, 0.5, 0.4]), np.array([-103.3, 57.1, 12.9]))
    place = (-95.07, 66.2, 21.11)
    result = simulate(atoms(("O", place, 45.0)), frame, 1.0)
    wanted = analytic("O", 45.0, distances(frame, place))
    np.testing.assert_allclose(result.values, wanted, atol=2e-3 * wanted.max())
    assert result.frame is frame
    assert result.values.dtype == np.float32


def test_atoms_add_up_and_those_outside_do_not_come_in_on_the_other_side() -> None:
    frame = GridFrame((30, 32, 34), np.full(3, 0.9), np.array([5.0, -4.0, 100.0]))
    near, edge, outside, far = (15.0, 8.0, 110.0), (5.0, 8.0, 110.0), (3.5, 8.0, 110.0), (-60.0, 8.0, 110.0)
    together = simulate(atoms(("C", near, 30), ("N", edge, 20), ("P", outside, 60), ("FE", far, 30)), frame, 3.0)
    single = [
        simulate(atoms(part), frame, 3.0).values for part in (("C", near, 30), ("N", edge, 20), ("P", outside, 60))
    ]
    scale = together.values.max()
    np.testing.assert_allclose(together.values, sum(single), atol=2e-3 * scale)
    # The x face opposite to the atoms at the edge.
    assert np.abs(together.values[:, :, -3:]).max() < 0.02 * scale


def test_total_is_the_scattering_at_zero_angle() -> None:
    frame = GridFrame((40, 40, 40), np.full(3, 1.0), np.zeros(3))
    for b_iso in (0.0, 20.0, 150.0):
        result = simulate(atoms(("C", (19.7, 20.2, 20.4), b_iso)), frame, 3.0)
        assert result.values.sum() == pytest.approx(sum(gemmi.Element("C").c4322.a), rel=0.01)


def test_b_factors_and_resolution_lower_the_peak_and_the_resolution_is_where_the_filter_is_half() -> None:
    frame = GridFrame((30, 30, 30), np.full(3, 0.8), np.zeros(3))

    def peak(b_iso: float, resolution: float) -> float:
        return float(simulate(atoms(("C", (12.0, 12.0, 12.0), b_iso)), frame, resolution).values.max())

    assert peak(20, 2.0) > peak(60, 2.0) > peak(150, 2.0)
    assert peak(20, 2.0) > peak(20, 3.0) > peak(20, 4.0)
    assert low_pass(np.array([0.0, 0.3, 1 / 3, 0.3667]), 3.0) == pytest.approx([1, 1, 0.5, 0], abs=1e-4)


def test_no_atoms_no_density() -> None:
    frame = GridFrame((16, 16, 16), np.ones(3), np.zeros(3))
    assert not simulate(atoms(), frame, 3.0).values.any()
