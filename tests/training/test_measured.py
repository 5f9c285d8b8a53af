"""Crops of experimental maps: the pack holds what the files hold, density and labels turn together."""

from pathlib import Path

import gemmi
import numpy as np
import pytest
import torch
import yaml
from scipy import ndimage

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.dataset.record_writing import training_record, write_record
from cryo2struct.dataset.records import TrainingSet
from cryo2struct.density.fourier import sharpen
from cryo2struct.density.resample import resample
from cryo2struct.density.simulate import box_around, simulate
from cryo2struct.io.models import THREE_LETTERS
from cryo2struct.networks.residue import NOTHING
from cryo2struct.objects import AMINO_ACIDS
from cryo2struct.training import crops, measured
from cryo2struct.training.crops import CropStream
from cryo2struct.training.labels import BOX, CROP, MARGIN, random_rotation
from cryo2struct.training.residues import FAR, draw_frames, true_positions
from cryo2struct.training.run import main

ROOT = Path(__file__).parents[2]
PACK = ROOT / "tests" / "data" / "small_pack.npz"
SHIFT = np.array([45.0, 0.0, 0.0])  # of the neighbour in the map
PLACE = np.array([70.0, 90.0, -40.0])  # of the molecule, so that voxel 0 is not at 0 0 0


@pytest.fixture(scope="module")
def pack():
    return StructurePack(PACK)


@pytest.fixture(scope="module")
def protein(pack):
    """Atoms of Pin1's amino acids, and their number in the pack's structure."""
    one = pack[pack.ids.index("1pin")]
    return one, np.flatnonzero(one.aa[one.residue] < 20)


def gemmi_structure(pack, one, atoms, shift):
    model = gemmi.Model(1)
    for atom in atoms:
        residue = int(one.residue[atom])
        chain_name = "ABCDEF"[int(one.chain[residue])]
        if not len(model) or model[-1].name != chain_name:
            model.add_chain(gemmi.Chain(chain_name))
        chain = model[-1]
        if not len(chain) or chain[-1].seqid.num != residue + 1:
            new = gemmi.Residue()
            new.name, new.seqid = THREE_LETTERS[AMINO_ACIDS[one.aa[residue]]], gemmi.SeqId(residue + 1, " ")
            chain.add_residue(new)
        new_atom = gemmi.Atom()
        new_atom.name, new_atom.element = pack.atom_names[one.name[atom]], gemmi.Element(int(one.element[atom]))
        new_atom.pos, new_atom.b_iso, new_atom.occ = gemmi.Position(*(one.xyz[atom] + shift)), 30.0, 1.0
        chain[-1].add_atom(new_atom)
    structure = gemmi.Structure()
    structure.add_model(model)
    structure.setup_entities()
    return structure


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pack, protein):
    """A data set of one map of two molecules, of which one is the model and one the context."""
    folder = tmp_path_factory.mktemp("real")
    model, context = (gemmi_structure(pack, *protein, PLACE + shift) for shift in (np.zeros(3), SHIFT))
    both = model.clone()
    for chain in context[0]:
        both[0].add_chain(chain)
    frame = box_around(both, 3.0, 1.25, 8.0, 10**7)
    (folder / "both").mkdir()
    write_record(
        folder / "both" / "training.npz", training_record(resample(simulate(both, frame, 3.0)), model, context)
    )
    np.save(folder / "origin.npy", frame.origin)
    return folder


@pytest.fixture(scope="module")
def maps(folder):
    return TrainingSet(folder)


@pytest.fixture(scope="module")
def source(maps):
    return measured.MeasuredCrops(maps)


def stream(pack, source, share):
    options = {"batch_size": 3, "resolutions": (2.0, 4.0), "seed": 5, "first_batch": 0, "simulate_here": True}
    return CropStream(pack, [0, 1, 2], **options, measured=source, measured_share=share)


def test_the_pack_holds_the_model(folder, maps, pack, protein):
    (one,) = maps.maps
    given, atoms = protein
    residues = np.unique(given.residue[atoms])
    xyz = given.xyz[atoms] + PLACE - np.load(folder / "origin.npy")
    np.testing.assert_allclose(one.structure.xyz, xyz, atol=2e-3)
    assert [maps.atom_names[n] for n in one.structure.name] == [pack.atom_names[n] for n in given.name[atoms]]
    np.testing.assert_array_equal(one.structure.aa, given.aa[residues])
    np.testing.assert_array_equal(one.structure.linked, given.linked[residues])
    np.testing.assert_array_equal(one.structure.element, given.element[atoms])
    assert (one.structure.ss == given.ss[residues]).mean() > 0.97
    assert np.abs(one.voxel - 1).max() < 0.01


def test_the_context_is_taken_out(maps):
    (one,) = maps.maps
    alphas = one.structure.xyz[one.structure.name == maps.atom_names.index("CA")]
    own, other = (np.rint((xyz / one.voxel)[:, ::-1]).astype(int) for xyz in (alphas, alphas + SHIFT))
    assert one.values[tuple(own.T)].min() > 2
    assert (one.values[tuple(other.T)] == 0).all()


def test_interpolation_is_trilinear():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 8, 9)).astype(np.float32)
    index = rng.uniform(-2, 10, (500, 3))
    expected = ndimage.map_coordinates(values, index.T, order=1, mode="grid-constant", cval=0.0)
    np.testing.assert_allclose(measured.interpolated(values, index), expected, atol=1e-5)


def test_sharpening_is_that_of_the_density_room():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(16, 18, 15)).astype(np.float16)
    values[:3] = 0
    voxel = np.array([0.9, 1.0, 1.1])
    for b in measured.B_FACTORS:
        expected = sharpen(values.astype(np.float32), voxel, b)
        np.testing.assert_allclose(measured.sharpened(values, voxel, b), expected, rtol=2e-3, atol=2e-3)


def test_density_turns_with_the_atoms(maps):
    """At a turned atom the crop has what the map has at the atom; its mirror image has not."""
    (one,) = maps.maps
    rng = np.random.default_rng(1)
    smooth = ndimage.gaussian_filter(one.values.astype(np.float32), 1.5)  # so that interpolating twice costs little
    centre = one.structure.xyz.mean(axis=0)
    at_atoms = ndimage.map_coordinates(smooth, (one.structure.xyz / one.voxel).T[::-1], order=3)
    for _ in range(4):
        rotation = random_rotation(rng)
        crop = measured.on_turned_grid(smooth, one.voxel, centre, rotation)
        xyz = (one.structure.xyz - centre) @ rotation + BOX / 2 - MARGIN
        inside = ((xyz > 2) & (xyz < CROP - 3)).all(axis=1)
        found = ndimage.map_coordinates(crop, xyz[inside].T[::-1], order=3)
        assert np.abs(found - at_atoms[inside]).max() < 0.1 * at_atoms.max()
        mirrored = ndimage.map_coordinates(crop[:, :, ::-1], xyz[inside].T[::-1], order=3)
        assert np.corrcoef(mirrored, at_atoms[inside])[0, 1] < 0.5


def test_the_part_about_a_crop_is_enough_to_sharpen_it():
    """Sharpened before or after the part is cut out, a crop is the same, also near a corner of the map."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(120, 130, 125))
    values[:8] = values[-8:] = values[:, :8] = values[:, -8:] = values[:, :, :8] = values[:, :, -8:] = 0
    values = ndimage.gaussian_filter(values, 1.0).astype(np.float16)  # 0 at the faces, as a map about a molecule is
    voxel = np.array([0.9, 1.0, 1.1])
    for b in (measured.B_FACTORS[0], measured.B_FACTORS[-1]):
        whole = measured.sharpened(values, voxel, b)
        for centre in (np.array([55.0, 66.3, 61.9]), np.array([15.0, 100.0, 118.0])):
            rotation = random_rotation(rng)
            expected = measured.on_turned_grid(whole, voxel, centre, rotation)
            part, first = measured.around(values, voxel, centre)
            assert part.size < 0.8 * values.size
            found = measured.on_turned_grid(measured.sharpened(part, voxel, b), voxel, centre - first, rotation)
            assert np.sqrt(np.mean((found - expected) ** 2)) < 0.02 * expected.std()


def test_labels_stand_in_density(pack, source):
    batches = [stream(pack, source, 1.0).batch(number) for number in range(2)]
    for batch in batches:
        assert batch.measured_crop.tolist() == [0, 1, 2]
        density = crops.simulate(batch)
        assert density.mean(dim=(1, 2, 3, 4)).abs().max() < 1e-4
        torch.testing.assert_close(density.std(dim=(1, 2, 3, 4)), torch.ones(3), atol=1e-3, rtol=0)
        for number in range(3):
            at_alphas = density[number, 0][batch.atoms[number] == 1]
            assert len(at_alphas) > 20
            assert at_alphas.mean() > 2
            mirrored = density[number, 0].flip(2)[batch.atoms[number] == 1]
            assert mirrored.mean() < 0.6 * at_alphas.mean()


def test_maxima_without_residue_are_found_in_measured_crops(pack, source):
    batch = stream(pack, source, 1.0).batch(0)
    batch.measured[:, 4:44:8, 4:44:8, 4:44:8] += 30  # spots that are no residues
    framed = draw_frames(batch, crops.simulate(batch))
    nothing = framed.kind == NOTHING
    assert nothing.sum() > 20
    near = torch.cdist(framed.centre[nothing], true_positions(batch)) < FAR - 1.5  # they are moved by 0.3 A per axis
    assert not (near & (framed.crop[nothing][:, None] == batch.ca_cell[None, :, 0])).any()


def test_mixed_batches_depend_on_seed_and_number_alone(pack, source):
    kinds = []
    for number in range(3):
        batch, again = (stream(pack, source, 0.5).batch(number) for _ in range(2))
        density = crops.simulate(batch)
        torch.testing.assert_close(crops.simulate(again), density, rtol=0, atol=0)
        assert density.isfinite().all()
        assert len(batch.measured) == len(batch.measured_crop)
        for crop, values in zip(batch.measured_crop, batch.measured, strict=True):
            torch.testing.assert_close(density[crop, 0], (values - values.mean()) / values.std(), atol=1e-4, rtol=1e-4)
            assert not (batch.atom_crop == crop).any()
        kinds += [int(n in batch.measured_crop) for n in range(3)]
    assert 1 < sum(kinds) < 8


def test_without_maps_the_stream_is_what_it_was(pack):
    """Seeds of the noise come after all other draws of a batch; any other draw would change all later ones."""
    batches = [stream(pack, None, 0.33).batch(number) for number in range(4)]
    assert [batch.seed for batch in batches] == [719251056, 1587069603, 617867465, 611834902]
    assert [len(batch.atom_xyz) for batch in batches] == [2849, 3422, 3543, 3458]
    assert [len(batch.aa) for batch in batches] == [272, 408, 393, 416]
    density = crops.simulate(batches[0])
    assert density[:, 0, 24, 24, 24].tolist() == pytest.approx([0.1215195, 0.2424871, -1.7965143], abs=1e-3)


@pytest.fixture
def config(tmp_path, folder):
    values = yaml.safe_load((ROOT / "configs" / "train-residues.yaml").read_text())
    assert values["data"]["real"] is None
    values["network"] = {"widths": [8, 16], "hidden": 16}
    values["data"] |= {"pack": str(PACK), "workers": 0, "real": str(folder), "real_share": 0.5}
    values["optimiser"] |= {"batch": 1, "steps": 3, "warmup": 1}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "train.yaml"


def run(config, *changes):
    options = ["--config", str(config), "--run", str(config.parent / "run"), "--device", "cpu", "--threads", "1"]
    return main(options + [word for change in changes for word in ("--set", change)])


def test_training_on_both_kinds(config, capsys):
    assert run(config) == 0
    assert torch.load(config.parent / "run" / "checkpoint.pt", weights_only=True)["step"] == 3
    for change, said in (("data.real_share=0.2", "(real_share 0.5, now 0.2)"), ("data.real=null", "real_share 0.5")):
        capsys.readouterr()
        assert run(config, change) == 3
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("content", ["nothing", b"", b"text", "half", "pack"])
def test_missing_and_damaged_records(config, folder, capsys, content):
    path = config.parent / "set" / "both" / "training.npz"
    if content != "nothing":
        path.parent.mkdir(parents=True)
        whole = (folder / "both" / "training.npz").read_bytes()
        path.write_bytes({"half": whole[: len(whole) // 2], "pack": PACK.read_bytes()}.get(content, content))
    assert run(config, f"data.real={path.parents[1]}") == 3
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cryo2struct:")]
    said = f"{path.parents[1]}: no such data set" if content == "nothing" else f"{path}: no training record, or damaged"
    assert len(lines) == 1
    assert said in lines[0]
