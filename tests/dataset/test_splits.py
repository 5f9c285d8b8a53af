"""Splits keep like sequences together; leaks are found without the program that made the clusters."""

import stat
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cryo2struct.cli import main as command_line
from cryo2struct.dataset import leaks
from cryo2struct.dataset._kernels import ungapped_scores
from cryo2struct.dataset.clusters import components
from cryo2struct.dataset.records import SPLITS, read_splits
from cryo2struct.dataset.splits import STRATA, assigned

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def random_sequence(rng, length):
    return "".join(rng.choice(LETTERS, length))


def relative(rng, letters, identity, gaps=0):
    """A sequence with this share of unchanged residues, and gaps of up to 5 residues."""
    changed = list(letters)
    for place in rng.permutation(len(letters))[: round((1 - identity) * len(letters))]:
        changed[place] = rng.choice(LETTERS[letters[place] != LETTERS])
    for _ in range(gaps):
        place, length = rng.integers(20, len(changed) - 20), rng.integers(1, 6)
        changed[place : place + (length if rng.random() < 0.5 else 0)] = []
        if rng.random() < 0.5:
            changed[place:place] = random_sequence(rng, length)
    return "".join(changed)


# groups and shares


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30))
def test_components_are_those_of_the_graph(links):
    found = components(links)
    reach = np.eye(13, dtype=bool)
    for one, other in links:
        reach[one, other] = reach[other, one] = True
    for _ in range(4):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    for one in found:
        for other in found:
            assert (found[one] == found[other]) == reach[one, other]


groupings = st.lists(st.tuples(st.integers(1, 9), st.one_of(st.none(), st.floats(1, 6))), min_size=1, max_size=40)


@settings(max_examples=60)
@given(groupings, st.integers(0, 3), st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (1.0, 0.0, 0.0)]))
def test_shares_are_met_as_far_as_whole_groups_can(sizes, seed, shares):
    groups = {f"g{n}_0": [f"g{n}_{i}" for i in range(size)] for n, (size, _) in enumerate(sizes)}
    resolution = {entry: sizes[n][1] for n, members in enumerate(groups.values()) for entry in members}
    rows = assigned(groups, resolution, shares, seed)
    assert [row.name for row in rows] == sorted(resolution)
    of = {row.name: row.split for row in rows}
    assert all(len({of[entry] for entry in members}) == 1 for members in groups.values())
    largest = max(size for size, _ in sizes)
    for split, share in zip(SPLITS, shares, strict=True):
        count = sum(row.split == split for row in rows)
        assert abs(count - share * len(rows)) <= 2 * largest
        assert share or not count
    assert rows == assigned(dict(reversed(groups.items())), resolution, shares, seed)


def test_each_stratum_of_resolution_is_shared_out():
    resolution = {f"e{n}": STRATA[0] - 0.3 + 0.5 * (n % 5) for n in range(500)}  # one of each stratum in turn
    rows = assigned({name: [name] for name in resolution}, resolution, (0.8, 0.1, 0.1), 0)
    for stratum in range(5):
        here = [row.split for row in rows if int(row.name[1:]) % 5 == stratum]
        assert [here.count(split) for split in SPLITS] == [80, 10, 10]
    assert rows != assigned({name: [name] for name in resolution}, resolution, (0.8, 0.1, 0.1), 1)


# leaks


def test_ungapped_scores_are_those_of_all_stretches():
    rng = np.random.default_rng(0)
    table = rng.integers(-4, 6, (5, 5))
    one, many = rng.integers(0, 5, 9), [rng.integers(0, 5, n) for n in (1, 7, 12)]
    expected = []
    for other in many:
        sums = [
            sum(table[other[j + k], one[i + k]] for k in range(n))
            for i in range(9)
            for j in range(len(other))
            for n in range(1, min(9 - i, len(other) - j) + 1)
        ]
        expected.append(max(0, *sums))
    first = np.cumsum([0, *map(len, many)])
    profile = np.ascontiguousarray(table[:, one]).astype(np.int32)
    np.testing.assert_array_equal(ungapped_scores(profile, np.concatenate(many), first), expected)


@pytest.mark.parametrize("seed", range(6))
def test_planted_relatives_are_found_and_strangers_are_not(seed):
    """Pairs of 40 % identical residues across splits, among 60 random sequences."""
    rng = np.random.default_rng(seed)
    sequences = [random_sequence(rng, rng.integers(30, 500)) for _ in range(60)]
    sides = [str(side) for side in rng.choice(SPLITS, 60)]
    planted = []
    for gaps in (0, 1, 2):
        letters = random_sequence(rng, rng.integers(150, 400))
        planted.append((len(sequences), len(sequences) + 1))
        sequences += [letters, relative(rng, letters, 0.4, gaps)]
        sides += ["train", "test"]
    sequences += [relative(rng, sequences[0], 0.9), sequences[0]]  # alike, but on one side
    sides += [sides[0], sides[0]]
    found = leaks.find_leaks(sequences, sides, 0.3, 0.6)
    assert [(leak.one, leak.other) for leak in found] == planted
    assert all(0.3 < leak.identity < 0.5 and leak.coverage > 0.6 for leak in found)


def test_the_rule_counts_columns_and_the_shorter_sequence():
    rng = np.random.default_rng(3)
    letters = random_sequence(rng, 200)
    inside = random_sequence(rng, 300) + letters + random_sequence(rng, 300)
    for change, other, found in (
        ("a domain in a long chain", inside, True),
        ("half of it", inside[:400], False),
        ("shifted by a gap", letters[:100] + letters[110:], True),
    ):
        pair = leaks.find_leaks([letters, other], ["train", "test"], 0.3, 0.6)
        assert bool(pair) == found, change
    (leak,) = leaks.find_leaks([letters, letters[:100] + letters[110:]], ["train", "test"], 0.3, 0.6)
    assert leak.identity == pytest.approx(190 / 200)
    assert leak.coverage == 1
    assert not leaks.find_leaks([letters, relative(rng, letters, 0.4)], ["train", "test"], 0.6, 0.6)


def test_equal_sequences_leak_however_short_they_are():
    found = leaks.find_leaks(["MKV", "MKV", "MKV", "AAA"], ["train", "train", "test", "test"], 0.3, 0.6)
    assert [(leak.one, leak.other) for leak in found] == [(0, 2), (1, 2)]


# commands

FAKE = """#!{python}
# Same interface as MMseqs2: sequences whose first four letters are equal are alike.
import sys
assert sys.argv[1] == "easy-search", sys.argv
options = dict(zip(sys.argv[6::2], sys.argv[7::2]))
assert options["--min-seq-id"] == "0.3" and options["-c"] == "0.6" and options["--cov-mode"] == "2", options
assert options["--format-output"] == "query,target", options
start = [
    {{record.split("\\n")[0]: "".join(record.split("\\n")[1:])[:4] for record in open(name).read().split(">")[1:]}}
    for name in sys.argv[2:4]
]
with open(sys.argv[4], "w") as table:
    for one, letters in start[0].items():
        table.writelines(f"{{one}}\\t{{other}}\\n" for other, others in start[1].items() if letters == others)
sys.exit({code})
"""


@pytest.fixture
def mmseqs(tmp_path, monkeypatch):
    """Put a program of this name alone on PATH."""

    def place(code=0, text=FAKE):
        folder = tmp_path / "bin"
        folder.mkdir()
        if text is not None:
            (folder / "mmseqs").write_text(text.format(python=sys.executable, code=code))
            (folder / "mmseqs").chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", str(folder))

    return place


@pytest.fixture
def folder(tmp_path):
    """A data set of 20 entries: c0 to c5 are linked by their chains, c0-c1 by one, c1-c2 by another, and so on."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "set"
    rows = ["name,resolution"]
    link = [random_sequence(rng, 150) for _ in range(6)]
    for n in range(20):
        name = f"c{n}" if n < 6 else f"single{n}"
        (folder / name).mkdir(parents=True)
        letters = [link[n]] if n < 6 else [random_sequence(rng, 120)]
        if 0 < n < 6:
            letters.append(link[n - 1][:4] + relative(rng, link[n - 1][4:], 0.4))
        records = [f">{name}_{k}|Chains {'AB'[k]}\n{one}\n" for k, one in enumerate(letters)]
        (folder / name / "full_sequence.fasta").write_text("".join(records))
        rows.append(f"{name},{'' if n == 7 else 2 + 0.1 * n}")
    (folder / "entries.csv").write_text("\n".join(rows) + "\n")
    return folder


def call(*arguments):
    """Exit code, standard output and standard error of the command."""
    runner = CliRunner()
    result = runner.invoke(command_line.app, ["dataset", *map(str, arguments)])
    code, said = result.exit_code, result.stderr
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        code, said = result.exception.exit_code, f"{result.exception}\n"
    return code, result.stdout, said


def test_split_and_check(folder, mmseqs):
    mmseqs()
    code, out, _ = call("split", folder, "--shares", "50/25/25")
    assert code == 0
    assert out.splitlines() == [
        "train: 10 entries in 5 clusters",
        "validation: 5 entries in 5 clusters",
        "test: 5 entries in 5 clusters",
    ]
    splits = read_splits(folder / "splits.csv")
    assert len({splits[f"c{n}"] for n in range(6)}) == 1
    assert (folder / "sequences.fasta").read_text().count(">") == 25
    assert call("check-splits", folder) == (0, "25 sequences: no like ones stand in different splits\n", "")
    assert call("split", folder)[0] == 4  # there is one
    first = (folder / "splits.csv").read_bytes()
    for seed, same in ((0, True), (1, False)):
        (folder / "splits.csv").unlink()
        assert call("split", folder, "--shares", "50/25/25", "--seed", seed)[0] == 0
        assert ((folder / "splits.csv").read_bytes() == first) == same


def test_a_planted_pair_is_listed(folder, mmseqs):
    mmseqs()
    assert call("split", folder, "--shares", "50/25/25")[0] == 0
    text = (folder / "splits.csv").read_text().splitlines()
    of = {line.split(",")[0]: line.rsplit(",", 1)[1] for line in text[1:]}
    moved = "\n".join(f"c5,c0,{'test' if of['c5'] == 'train' else 'train'}" if t[:3] == "c5," else t for t in text)
    (folder / "splits.csv").write_text(moved + "\n")
    code, out, said = call("check-splits", folder)
    assert code == 3
    header, *pairs = out.splitlines()
    assert header == "sequence,split,sequence,split,identity,coverage"
    assert len(pairs) == 1
    assert pairs[0].startswith(f"c4_1,{of['c4']},c5_2,")
    assert 0.35 < float(pairs[0].split(",")[4]) < 0.5
    assert said.count("\n") == 1
    assert "pairs of like sequences in different splits: 1; join them" in said


def test_without_mmseqs_clusters_can_be_given(folder, mmseqs, tmp_path):
    mmseqs(text=None)
    code, _, said = call("split", folder)
    assert code == 6
    assert "mmseqs: is not on PATH; install MMseqs2, or cluster" in said
    assert not (folder / "splits.csv").exists()
    names = [line[1:] for line in (folder / "sequences.fasta").read_text().splitlines() if line[0] == ">"]
    clusters = tmp_path / "clusters.tsv"
    lines = [f"{name}\t{name}" for name in names] + [f"c{n}_1\tc{n + 1}_2" for n in range(5)]
    clusters.write_text("\n".join(lines) + "\n")
    assert call("split", folder, "--clusters", clusters)[0] == 0
    assert call("check-splits", folder)[0] == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("c0_1\tc0_1\n", "24 of 25 sequences are in no cluster, c1_1 the first"),
        ("c0_1 c0_1\n", "line 1: give a representative and a member with a tab"),
        (b"\xff\xfe\x00", "byte 0 is not UTF-8"),
        (None, "clusters.tsv"),
    ],
)
def test_clusters_that_are_refused(folder, tmp_path, content, said):
    if content is not None:
        (tmp_path / "clusters.tsv").write_bytes(content if isinstance(content, bytes) else content.encode())
    code, _, err = call("split", folder, "--clusters", tmp_path / "clusters.tsv")
    assert code == 3
    assert said in err


def test_a_failing_mmseqs_is_told(folder, mmseqs):
    mmseqs(code="'out of luck'")
    code, _, said = call("split", folder)
    assert code == 6
    assert "ended with code 1 (out of luck)" in said


@pytest.mark.parametrize("shares", ["80/20", "a/b/c", "0/1/1", "80/-1/21", "nan/1/1"])
def test_shares_that_are_refused(folder, shares):
    code, _, said = call("split", folder, "--shares", shares)
    assert code == 2
    assert f"--shares {shares}: give three numbers" in said


def test_what_is_no_split_data_set_is_refused(folder, tmp_path):
    for command, where, said in (
        ("split", tmp_path, "holds no entries.csv"),
        ("check-splits", tmp_path, "holds no entries.csv"),
        ("check-splits", folder, "run `cryo2struct dataset split"),
    ):
        code, _, err = call(command, where)
        assert code == 3
        assert said in err
    (folder / "splits.csv").write_text("name,cluster,split\nc0,c0,train\n")
    code, _, err = call("check-splits", folder)
    assert code == 3
    assert "c1 of the data set has no split" in err
