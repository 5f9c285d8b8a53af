"""Reading FASTA files: copies, chains, kinds, letters, refusals."""

import gzip

import pytest
from map_bytes import refusal

from cryo2struct.errors import InputError, UsageError
from cryo2struct.io.sequences import read_sequences
from cryo2struct.objects import Entity

PROTEIN = "MSKVLETQWY"
OTHER = "GGHHIIPPRRDDFFNN"


@pytest.fixture
def read(tmp_path):
    def read(text, **options):
        path = tmp_path / "seq.fasta"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_sequences(path, **options)

    return read


def entities(result):
    sequences, warnings = result
    assert warnings == []
    return sequences.entities


def test_chains_of_pdb_headers(read):
    text = (
        f">8HB0_1|Chains A, C|Capsid|Some virus (1)\n{PROTEIN}\n"
        f">8HB0_2|Chain B[auth X]|Enzyme|Host\n{OTHER}\n"
        f">8HB0_3|Chains AA[auth D1], BA[auth D2]|Third|Host\n{OTHER}{PROTEIN}\n"
    )
    assert entities(read(text)) == (
        Entity("8HB0_1", PROTEIN, 2, "protein", ("A", "C")),
        Entity("8HB0_2", OTHER, 1, "protein", ("X",)),
        Entity("8HB0_3", OTHER + PROTEIN, 2, "protein", ("D1", "D2")),
    )


@pytest.mark.parametrize("header", ["emd_1461_A", "sp|P12345|CAPSD some protein", "x|chain elongation factor|y", "A"])
def test_headers_without_chains_leave_copies_unknown(read, header):
    (entity,) = entities(read(f">{header}\n{PROTEIN}\n"))
    assert entity == Entity(header.split()[0].split("|chain")[0], PROTEIN, None, "protein") or header.startswith("x|")
    assert entity.copies is None
    assert entity.chains == ()


def test_identical_records_are_copies(read):
    (entity,) = entities(read(f">a\n{PROTEIN}\n>b\n{PROTEIN.lower()}\n>c\n{PROTEIN}*\n"))
    assert entity == Entity("a", PROTEIN, 3, "protein")
    (entity,) = entities(read(f">x_1|Chain A|n\n{PROTEIN}\n>x_2|Chains B, C|n\n{PROTEIN}\n"))
    assert entity == Entity("x_1", PROTEIN, 3, "protein", ("A", "B", "C"))
    (entity,) = entities(read(f">x_1|Chains A, B|n\n{PROTEIN}\n>other\n{PROTEIN}\n"))
    assert entity == Entity("x_1", PROTEIN, 3, "protein")


def test_chain_named_twice_in_different_records(read):
    sequences, warnings = read(f">x|Chain A|n\n{PROTEIN}\n>y|Chains A, B|n\n{OTHER}\n")
    assert [entity.chains for entity in sequences.entities] == [("A",), ()]
    assert sequences.entities[1].copies == 2
    assert "chain names A" in warnings[0]


def test_copies_overrule_the_file(read):
    text = f">x|Chains A, B|n\n{PROTEIN}\n>y\n{OTHER}\n"
    first, second = entities(read(text, copies={"x": 1, "y": 4}))
    assert (first.copies, first.chains) == (1, ("A",))
    assert (second.copies, second.chains) == (4, ())
    (first, _) = entities(read(text, copies={"x": 3}))
    assert (first.copies, first.chains) == (3, ())


@pytest.mark.parametrize(
    ("copies", "words"),
    [({"z": 2}, "no sequence"), ({"x": 0}, "below 1"), ({"y": 2}, "several sequences")],
)
def test_wrong_copies(read, copies, words):
    with pytest.raises(UsageError) as error:
        read(f">x\n{PROTEIN}\n>y\n{OTHER}\n>y\n{OTHER}{OTHER}\n", copies=copies)
    assert words in refusal(error)
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("header", "letters", "kind"),
    [
        ("r", "GGGACUUUCC", "rna"),
        ("d", "ggtaccattn", "dna"),
        ("x_1|Chain A|DNA (5'-D(*CP*G)-3')|", "CGCG", "dna"),
        ("x_1|Chain A|RNA (4-mer)|", "CGCG", "rna"),
        ("m", "GGXACUU", "rna"),
        ("polyasparagine", "NNNNNNNN", "protein"),
        ("silk", "GAGAGSGAGA", "protein"),
        ("unknown", "XXXXXXXX", "protein"),
    ],
)
def test_nucleic_acids_are_told_by_letters(read, header, letters, kind):
    sequences, warnings = read(f">p\n{PROTEIN}\n>{header}\n{letters}\n")
    entity = sequences.entities[1]
    assert (entity.kind, entity.letters) == (kind, letters.upper())
    assert len(sequences.proteins) == (2 if kind == "protein" else 1)
    assert [kind.upper() in line and "set aside" in line for line in warnings] == [True] * (kind != "protein")


def test_only_nucleic_acid_is_no_matter_here(read):
    sequences, _ = read(">r\nACGU\n")
    assert sequences.proteins == ()


def test_unusual_letters(read):
    sequences, warnings = read(">p\nMUOBZJXK\n")
    assert sequences.entities[0].letters == "MCKXXXXK"
    assert len(warnings) == 1
    assert "1 U as C" in warnings[0]
    assert "1 O as K" in warnings[0]
    sequences, warnings = read(">p\nMXXK\n")
    assert sequences.entities[0].letters == "MXXK"
    assert warnings == []


@pytest.mark.parametrize(
    "text",
    [
        f">p\n{PROTEIN}".encode(),
        f">p\r\n{PROTEIN[:3]}\r\n\r\n{PROTEIN[3:].lower()}*\r\n".encode(),
        f"\ufeff\n>p\n {PROTEIN[:5]} {PROTEIN[5:]}\t\n\n".encode(),
        f">p\r{PROTEIN}\r".encode(),
        f">p\n{PROTEIN}\n".encode("utf-16"),
        gzip.compress(f">p\n{PROTEIN}\n".encode()),
    ],
    ids=["plain", "crlf wrapped lower star", "bom spaces blank", "cr", "utf-16", "gz"],
)
def test_ways_to_write_a_file(read, text):
    assert entities(read(text)) == (Entity("p", PROTEIN, None, "protein"),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        (" \n\n", "no sequence"),
        (f"{PROTEIN}\n", "line 1 ('MSKVLETQWY') comes before any header"),
        (f">p\n\n>q\n{PROTEIN}\n", "line 1: record p has no sequence"),
        (f">q\n{PROTEIN}\n>p\n*\n", "line 3: record p has no sequence"),
        (">p\nMKV\nMK1V\n", "line 3, column 3: '1'"),
        (">p\nMKV-L\n", "line 2, column 4: '-'"),
        (">p\nM?\n", "column 2: '?'"),
        (">p\nMKß\n", "column 3: 'ß'"),
        (">p\nMK*V\n", "column 4: 'V' stands after the '*'"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "not text"),
        (b">p\nMK\0V\n", "binary"),
    ],
)
def test_refusals(read, tmp_path, text, words):
    with pytest.raises(InputError) as error:
        read(text)
    line = refusal(error)
    assert words in line
    assert line.startswith(str(tmp_path / "seq.fasta"))


def test_header_in_latin_1(read):
    (entity,) = entities(read(f">p Mus musculus, 37 °C\n{PROTEIN}\n".encode("latin-1")))
    assert (entity.name, entity.letters) == ("p", PROTEIN)
    with pytest.raises(InputError, match="line 2, column 2: 'Ä'"):
        read(">p\nMÄV\n".encode("latin-1"))


def test_control_characters_reach_no_message(read):
    (entity,) = entities(read(f">\x1b[31mred\n{PROTEIN}\n"))
    assert entity.name == "[31mred"
    with pytest.raises(InputError, match=r"column 2: '\\x1b' stands for no residue"):
        read(">p\nM\x1bV\n")


def test_missing_file(tmp_path):
    with pytest.raises(InputError) as error:
        read_sequences(tmp_path / "none.fasta")
    assert "no such file" in refusal(error)


def test_record_without_a_name_is_called_by_its_line(read):
    (entity,) = entities(read(f">\n{PROTEIN}\n"))
    assert entity.name == "line 1"
