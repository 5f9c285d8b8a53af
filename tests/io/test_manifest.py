"""Lists of maps to build and of models to evaluate: what is read, and one line for each thing that can be wrong."""

from pathlib import Path

import pytest

from cryo2struct.errors import InputError
from cryo2struct.io.manifest import read_build_manifest, read_evaluation_manifest

HEADER = "name,map,fasta,mask,resolution,contour,target,note"
GOOD = "one,a/m.mrc,s.fasta,k.mrc,2.5,-0.5,t.cif,hello"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("a/m.mrc", "k.mrc", "t.cif", "m.cif", "c.cif", "x.txt", "s.fasta"):
        (tmp_path / name).write_text("-")
    return tmp_path


def manifest(folder, *lines, encoding="utf-8"):
    path = folder / "list.csv"
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def test_maps_to_build(folder, monkeypatch):
    """Paths are relative to the list, not to where the command is started, and come out absolute."""
    path = manifest(folder, HEADER, GOOD, "", 'two,a/m.mrc,s.fasta,,,,,"a, b"', encoding="utf-8-sig")
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    one, two = read_build_manifest(Path("..") / path.name)
    assert (one.name, one.map, one.fasta, one.mask) == ("one", folder / "a/m.mrc", folder / "s.fasta", folder / "k.mrc")
    assert (one.resolution, one.contour) == (2.5, -0.5)
    assert one.others == {"target": str(folder / "t.cif"), "note": "hello"}
    assert (two.mask, two.resolution, two.contour) == (None, None, None)
    assert two.others == {"target": "", "note": "a, b"}


def test_models_to_evaluate(folder):
    header = "target,name,model,map,resolution,near_model,context,exclude,fasta,else"
    rows = ["t.cif,one,m.cif,a/m.mrc,3,4,c.cif,x.txt,s.fasta,1", ",two,,,,,,,,"]
    one, two = read_evaluation_manifest(manifest(folder, header, *rows))
    assert (one.model, one.target, one.map) == (folder / "m.cif", folder / "t.cif", folder / "a/m.mrc")
    assert (one.resolution, one.near_model) == (3, 4)
    assert (one.context, one.exclude, one.fasta) == (folder / "c.cif", folder / "x.txt", folder / "s.fasta")
    assert set(vars(two).values()) == {"two", None}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([HEADER.replace("fasta", "sequence"), GOOD], "no column 'fasta'; needed are name, map, fasta"),
        ([HEADER.replace("note", "map"), GOOD], "two columns 'map'"),
        ([HEADER], "lists no map"),
        ([HEADER, GOOD, GOOD.replace("one", "One")], "row 3, name: 'One' is the name of row 2 as well"),
        ([HEADER, GOOD.replace("one", "")], "row 2, name: is empty"),
        ([HEADER, GOOD.replace("one", "a/b")], "row 2, name: 'a/b' is no plain name"),
        ([HEADER, GOOD.replace("one", "..")], "row 2, name: '..' is no plain name"),
        ([HEADER, GOOD.replace("a/m.mrc", "a/n.mrc")], r"row 2, map: there is no file .*a/n\.mrc"),
        ([HEADER, GOOD.replace("a/m.mrc", "a")], r"row 2, map: there is no file .*/a;"),
        ([HEADER, GOOD.replace("a/m.mrc", "")], "row 2, map: is empty"),
        ([HEADER, GOOD.replace("s.fasta", "")], "row 2, fasta: is empty"),
        ([HEADER, GOOD.replace("k.mrc", "n.mrc")], "row 2, mask: there is no file"),
        ([HEADER, GOOD.replace("t.cif", "n.cif")], "row 2, target: there is no file"),
        ([HEADER, GOOD.replace("2.5", "fine")], "row 2, resolution: 'fine' is not a number above 0"),
        ([HEADER, GOOD.replace("2.5", "0")], "row 2, resolution: '0' is not a number above 0"),
        ([HEADER, GOOD.replace("2.5", "inf")], "row 2, resolution: 'inf' is not a number above 0"),
        ([HEADER, GOOD.replace("-0.5", "low")], "row 2, contour: 'low' is not a number"),
        ([HEADER, GOOD.replace("-0.5", "nan")], "row 2, contour: 'nan' is not a number"),
        ([HEADER, GOOD + ",7"], "row 2: has 9 values for 8 columns"),
        (["x" * 200_000], "is no CSV file"),
    ],
)
def test_refusals(folder, lines, said):
    with pytest.raises(InputError, match=said) as refusal:
        read_build_manifest(manifest(folder, *lines))
    assert str(refusal.value).startswith(f"{folder / 'list.csv'}")
    assert "\n" not in str(refusal.value)


def test_files_that_are_no_list(folder):
    with pytest.raises(InputError, match="no such file"):
        read_build_manifest(folder / "none.csv")
    (folder / "list.csv").touch()
    with pytest.raises(InputError, match="is empty"):
        read_build_manifest(folder / "list.csv")
    with pytest.raises(InputError, match=r"list\.csv: byte 55 is not UTF-8"):
        read_build_manifest(manifest(folder, HEADER, "einsä,a/m.mrc,s.fasta,,,,,,", encoding="latin-1"))
    with pytest.raises(InputError, match="is not UTF-8"):
        read_build_manifest(manifest(folder, HEADER, GOOD, encoding="utf-16"))
