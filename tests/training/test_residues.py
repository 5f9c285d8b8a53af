"""Frames for training, and what the residue network loses on them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.networks.residue import NOTHING, RIGHT, WRONG, ResidueConfig, ResidueNetwork, residue_frames
from cryo2struct.training.crops import CropStream, simulate
from cryo2struct.training.labels import CROP
from cryo2struct.training.residues import (
    FAR,
    PEAKS,
    STEP,
    FramedResidues,
    cut_patches,
    draw_frames,
    residue_losses,
    true_positions,
    validate_residues,
)

PACK = Path(__file__).parents[1] / "data" / "small_pack.npz"


@pytest.fixture(scope="module")
def batch():
    pack = StructurePack(PACK)
    stream = CropStream(
        pack, [0, 1, 2], batch_size=2, resolutions=(2.0, 2.0), seed=5, first_batch=0, simulate_here=True
    )
    return stream.batch(0)


@pytest.fixture(scope="module")
def density(batch):
    return simulate(batch)


def perfect_heads(batch, framed):
    row, axes = framed.row.clamp_min(0), framed.frames
    shift = true_positions(batch)[row] - framed.centre
    heads = {"frame": 50 * torch.nn.functional.one_hot(framed.kind, 4).float()}
    heads["aa"] = 50 * torch.nn.functional.one_hot(batch.aa[row].clamp_min(0), 20).float()
    heads["ss"] = 50 * torch.nn.functional.one_hot(batch.ss[row], 3).float()
    vectors = {"ca": shift, "n": shift + batch.n[row], "c": shift + batch.c[row], "o": shift + batch.o[row]}
    vectors |= {"next": batch.next[row], "prev": batch.prev[row]}
    return heads | {name: torch.einsum("rij,rj->ri", axes, vector) for name, vector in vectors.items()}


def of_residues(framed):
    keep = framed.row >= 0
    return FramedResidues(**{name: value[keep] for name, value in vars(framed).items()})


def test_frames_without_error_are_those_of_the_chain(batch, density):
    framed = of_residues(draw_frames(batch, density, noise=0.0, share_right=1.0))
    assert (framed.kind == RIGHT).all()
    row = framed.row
    torch.testing.assert_close(framed.centre, true_positions(batch)[row])
    torch.testing.assert_close(
        framed.frames, residue_frames(STEP * batch.next[row], STEP * batch.prev[row]), atol=1e-4, rtol=0
    )
    # N comes before C along the chain; both 1.46 and 1.52 A away
    along = framed.frames[:, 0]
    there = ~(batch.n[row] + batch.c[row]).isnan().any(1)
    assert (((batch.c[row] - batch.n[row]) * along).sum(1)[there] > 1.5).all()
    assert float(batch.n[row][there].norm(dim=1).median()) == pytest.approx(1.46, abs=0.03)
    assert float(batch.c[row][there].norm(dim=1).median()) == pytest.approx(1.52, abs=0.03)
    inside = true_positions(batch)[row]
    assert ((inside > 3) & (inside < CROP - 4)).all()


def test_frames_that_are_not_right_are_another_ones(batch, density):
    framed = of_residues(draw_frames(batch, density, noise=0.0, share_right=0.0))
    truth = residue_frames(STEP * batch.next[framed.row], STEP * batch.prev[framed.row])
    along = (framed.frames[:, 0] * truth[:, 0]).sum(1)
    assert (along[framed.kind == 1] < -0.99).all()
    assert (along[framed.kind == WRONG] < 0.999).float().mean() > 0.95
    assert 0.3 < (framed.kind == WRONG).float().mean() < 0.7


def test_drawn_again_alike_and_errors_have_the_size_asked_for(batch, density):
    first, again = draw_frames(batch, density, noise=0.5), draw_frames(batch, density, noise=0.5)
    assert torch.equal(first.frames, again.frames)
    first = of_residues(first)
    error = first.centre - true_positions(batch)[first.row]
    assert float(error.std()) == pytest.approx(0.5, rel=0.1)


def test_perfect_heads_lose_nothing_and_wrong_frames_do_not_count(batch, density):
    framed = draw_frames(batch, density)
    heads = perfect_heads(batch, framed)
    losses = residue_losses(heads, batch, framed)
    assert set(losses) == {"frame", "aa", "ss", "ca", "backbone", "direction"}
    assert max(float(value) for value in losses.values()) < 1e-4
    spoilt = {k: torch.where((framed.kind == RIGHT)[:, None], v, -v) if k != "frame" else v for k, v in heads.items()}
    for name, value in residue_losses(spoilt, batch, framed).items():
        assert float(value) == pytest.approx(float(losses[name]), abs=1e-6)
    spoilt = {k: torch.where((framed.kind == RIGHT)[:, None], -v, v) for k, v in heads.items()}
    assert all(float(value) > 0.1 for name, value in residue_losses(spoilt, batch, framed).items() if name != "ca")


def test_patches_come_from_the_right_crop(batch, density):
    framed = draw_frames(batch, density)
    patches = cut_patches(density, framed)
    swapped = cut_patches(density.flip(0), framed)
    assert not torch.allclose(patches, swapped)
    keep = framed.crop == 1
    assert 0 < keep.sum() < len(keep)
    one = FramedResidues(**{name: value[keep] for name, value in vars(framed).items()})
    torch.testing.assert_close(cut_patches(density, one), patches[keep])


def test_places_without_residue_are_strong_maxima_far_from_all_alphas(batch, density):
    framed = draw_frames(batch, density)
    empty = framed.kind == NOTHING
    assert torch.equal(empty, framed.row < 0)
    assert 10 < empty.sum() <= PEAKS * len(density)
    maxima, height = [], []
    for number, values in enumerate(density[:, 0].numpy()):
        place = framed.centre[empty & (framed.crop == number)].numpy()
        peaks = np.argwhere(values == ndimage.maximum_filter(values, 3))[:, ::-1]
        maxima.append(np.linalg.norm(place[:, None] - peaks[None], axis=2).min(axis=1))
        height.append(ndimage.map_coordinates(values, place[:, ::-1].T, order=1).mean())
        own = true_positions(batch)[batch.ca_cell[:, 0] == number].numpy()
        assert np.linalg.norm(place[:, None] - own[None], axis=2).min() > FAR - 1.2
    assert np.median(np.concatenate(maxima)) < 0.7  # errors of 0.3 A per axis
    assert min(height) > 0.5


def test_a_step_of_training_lowers_the_loss_and_figures_have_names(batch, density):
    torch.manual_seed(0)
    network = ResidueNetwork(ResidueConfig((8, 16), 64))
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    framed = draw_frames(batch, density, noise=0.1)
    patches = cut_patches(density, framed)
    history = []
    for _ in range(25):
        total = sum(residue_losses(network(patches), batch, framed).values())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        history.append(float(total.detach()))
    assert np.mean(history[-3:]) < 0.7 * history[0]
    config = {"validate": {"crops": 4, "resolutions": [2.5]}}
    figures = validate_residues(network.eval(), StructurePack(PACK), config, torch.device("cpu"))
    assert {"validate.2.5.types", "validate.2.5.frames", "validate.2.5.residues", "validate.2.5.ca_error"} <= set(
        figures
    )
    assert 0 <= figures["validate.2.5.types"] <= 1
