"""Indices of maps: what is read, and one line for each thing that can be wrong."""

import pytest

from cryo2struct.errors import InputError
from cryo2struct.training.map_index import read_index

HEADER = "map,model,resolution,residues,nucleotides,near_model,context,exclude,fasta,seed"
GOOD = "a/m.mrc,m.cif,2.5,10,0,4,c.cif,x.txt,s.fasta,1"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("a/m.mrc", "m.cif", "c.cif", "x.txt", "s.fasta"):
        (tmp_path / name).write_text("-")
    return tmp_path


def index(folder, *lines):
    path = folder / "index.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_all_columns(folder):
    (row,) = read_index(index(folder, HEADER, GOOD, ""))
    assert (row.name, row.map, row.model) == ("a/m.mrc", folder / "a/m.mrc", folder / "m.cif")
    assert (row.resolution, row.residues, row.nucleotides, row.near_model) == (2.5, 10, 0, 4)
    assert (row.context, row.exclude, row.fasta) == (folder / "c.cif", folder / "x.txt", folder / "s.fasta")


def test_needed_columns_alone_and_in_another_order(folder):
    (row,) = read_index(index(folder, "nucleotides,model,map,residues,resolution", "3,m.cif,a/m.mrc,10,3"))
    assert (row.resolution, row.residues, row.nucleotides) == (3, 10, 3)
    assert (row.near_model, row.context, row.exclude, row.fasta) == (None,) * 4


def test_without_a_model(folder):
    (row,) = read_index(index(folder, HEADER, "a/m.mrc,,2.5,,,,,,s.fasta,"))
    assert (row.model, row.residues, row.nucleotides) == (None, None, None)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([HEADER.replace("residues,", ""), GOOD], "no column 'residues'"),
        ([HEADER], "lists no map"),
        ([HEADER, GOOD, GOOD.replace("a/m.mrc", "a/n.mrc")], r"row 3, map: there is no file .*a/n\.mrc"),
        ([HEADER, GOOD.replace("m.cif", "n.cif")], "row 2, model: there is no file"),
        ([HEADER, GOOD.replace("c.cif", "n.cif")], "row 2, context: there is no file"),
        ([HEADER, GOOD.replace("x.txt", "n.txt")], "row 2, exclude: there is no file"),
        ([HEADER, GOOD.replace("s.fasta", "n.fasta")], "row 2, fasta: there is no file"),
        ([HEADER, GOOD.replace("2.5", "fine")], "row 2, resolution: 'fine' is not a number"),
        ([HEADER, GOOD.replace("2.5", "nan")], "row 2, resolution: 'nan' is not a number"),
        ([HEADER, GOOD.replace("2.5", "-2.5")], "row 2, resolution: '-2.5' is not a number above 0"),
        ([HEADER, GOOD.replace("2.5", "")], "row 2, resolution: is empty"),
        ([HEADER, GOOD.replace("a/m.mrc", "")], "row 2, map: is empty"),
        ([HEADER, GOOD.replace("10", "1.5")], "row 2, residues: '1.5' is not a whole number"),
        ([HEADER, GOOD.replace(",0,", ",-1,")], "row 2, nucleotides: -1 is below 0"),
        ([HEADER, GOOD.replace(",4,", ",near,")], "row 2, near_model: 'near' is not a number"),
        ([HEADER, GOOD.replace("10", "")], "row 2, residues: is empty"),
        ([HEADER, "a/m.mrc,,2.5,,,,,,,"], "row 2, model: is empty and so is fasta"),
        ([HEADER, GOOD + ",7"], "row 2: has 11 values for 10 columns"),
        (["x" * 200_000], "is no CSV file"),
    ],
)
def test_refusals(folder, lines, said):
    with pytest.raises(InputError, match=said) as refusal:
        read_index(index(folder, *lines))
    assert str(refusal.value).startswith(f"{folder / 'index.csv'}")
    assert "\n" not in str(refusal.value)


def test_missing_index(folder):
    with pytest.raises(InputError, match="no such file"):
        read_index(folder / "none.csv")
