"""`trace` on bad and on odd input: one clear line, or a sound result."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cryo2struct.cli.main import main
from cryo2struct.io.candidates import read_trace
from cryo2struct.objects import AMINO_ACIDS

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "data" / "hmm_cases"
REFERENCE = ("--mode", "reference")


def arrays_of(name):
    with np.load(CASES / f"{name}.candidates.npz") as archive:
        return dict(archive)


def truth_of(name):
    """Coordinates of the C-alpha of each residue."""
    with np.load(CASES / f"{name}.truth.npz") as archive:
        return archive["xyz"]


EASY = arrays_of("easy_1")
LETTERS = "".join((CASES / "easy_1.fasta").read_text().splitlines()[1:])
N = len(LETTERS)


@pytest.fixture
def trace(tmp_path, monkeypatch, capsys):
    """Run the command; gives exit code, the lines on standard error, and the trace or None."""
    monkeypatch.chdir(tmp_path)

    def run(arrays, letters=LETTERS, *options):
        np.savez("c.npz", **arrays)
        Path("s.fasta").write_text(f">a|Chain A\n{letters}\n")
        monkeypatch.setattr(sys, "argv", ["cryo2struct", "trace", "c.npz", "s.fasta", "-o", "t.npz", *options])
        with pytest.raises(SystemExit) as done:
            main()
        code = done.value.code or 0
        assert Path("t.npz").exists() == (code == 0)
        return code, capsys.readouterr().err.splitlines(), read_trace("t.npz") if code == 0 else None

    return run


def changed(**arrays):
    return {name: values for name, values in (EASY | arrays).items() if values is not None}


def without_number(values, row=3):
    spoilt = values.astype(np.float64)
    spoilt[row] = np.nan
    return spoilt


def rows_of(rows):
    return {name: values[rows] for name, values in EASY.items()}


def right(found, truth, lead=0):
    """How many residues lie within 3 A of their own C-alpha; those before `lead` are of no structure."""
    own = (found.position >= lead) & (found.position < lead + len(truth))
    return int((np.linalg.norm(found.xyz[own] - truth[found.position[own] - lead], axis=1) < 3).sum())


def random_letters(count):
    return "".join(np.random.default_rng(0).choice(list(AMINO_ACIDS), count))


REFUSED = [
    (changed(xyz=None), LETTERS, 3, "c.npz: array xyz is missing"),
    (changed(ca_prob=None), LETTERS, 3, "array ca_prob is missing"),
    (changed(aa_prob=None), LETTERS, 3, "array aa_prob is missing"),
    (changed(xyz=EASY["xyz"][:, :2]), LETTERS, 3, f"xyz has shape ({N}, 2)"),
    (changed(aa_prob=EASY["aa_prob"][:-1]), LETTERS, 3, f"aa_prob has shape ({N - 1}, 20)"),
    (changed(xyz=without_number(EASY["xyz"])), LETTERS, 3, "xyz has 3 values that are NaN"),
    (changed(ca_prob=without_number(EASY["ca_prob"])), LETTERS, 3, "ca_prob has 1 values that are NaN"),
    (changed(aa_prob=without_number(EASY["aa_prob"])), LETTERS, 3, "aa_prob has 20 values that are NaN"),
    (changed(aa_prob=EASY["aa_prob"] / 2), LETTERS, 3, "aa_prob sums to 0.5 in row 0"),
    (changed(xyz=EASY["xyz"] * 1e6), LETTERS, 3, "coordinates in A are needed"),
    (changed(next_vec=EASY["xyz"]), LETTERS, 3, "unit vectors are needed"),
    (rows_of(slice(0)), LETTERS, 5, "candidates: none found; nothing to trace"),
    (rows_of(slice(1)), LETTERS, 5, "could be placed on 1 candidates"),
    (rows_of(np.zeros(N, dtype=int)), LETTERS, 5, f"could be placed on {N} candidates"),
    (EASY, "M", 5, "none of the 1 residues could be placed"),
    (EASY, LETTERS[:30] + "1" + LETTERS[30:], 3, "record a, line 2, column 31: '1' stands for no residue"),
    (EASY, LETTERS[:30] + "-" + LETTERS[30:], 3, "'-' stands for no residue"),
    (EASY, "", 3, "has no sequence"),
]


@pytest.mark.parametrize(("arrays", "letters", "code", "said"), REFUSED, ids=[said for *_, said in REFUSED])
def test_refusals(trace, arrays, letters, code, said):
    refused, lines, _ = trace(arrays, letters)
    assert refused == code
    assert len(lines) == 1
    assert lines[0].startswith("cryo2struct: ")
    assert said in lines[0]


@pytest.mark.parametrize(
    ("arrays", "letters", "code", "said"),
    [
        (rows_of(slice(0)), LETTERS, 5, "candidates: none found; nothing to trace"),
        (rows_of(slice(N - 1)), LETTERS, 3, f"candidates: {N - 1} for {N} residues"),
        (EASY, random_letters(20_000), 3, f"candidates: {N} for 20000 residues"),
        (EASY, "X" * N, 5, "every residue is X; the reference mode leaves those out"),
    ],
)
def test_refusals_of_the_reference_mode(trace, arrays, letters, code, said):
    refused, lines, _ = trace(arrays, letters, *REFERENCE)
    assert refused == code
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize(("letter", "read_as"), [("B", "X"), ("Z", "X"), ("J", "X"), ("U", "C"), ("O", "K"), ("X", "")])
def test_unknown_letters_are_traced_through(trace, letter, read_as):
    code, lines, found = trace(EASY, LETTERS[:30] + letter + LETTERS[31:])
    assert code == 0
    assert any(f"read 1 {letter} as {read_as} (X is unknown)" in line for line in lines) == (read_as != "")
    assert right(found, truth_of("easy_1")) == N
    assert 30 in found.position


def test_more_residues_than_candidates_builds_what_it_can(trace):
    truth = truth_of("easy_1")
    nearest = np.linalg.norm(EASY["xyz"][:, None] - truth[None, :70], axis=2).min(axis=1)
    few = rows_of(nearest < 1)
    assert 60 < len(few["xyz"]) < 80
    code, _, found = trace(few)
    assert code == 0
    assert right(found, truth) >= 0.95 * len(found) > 50


@pytest.mark.parametrize("options", [(), REFERENCE], ids=["default", "reference"])
def test_candidates_that_are_there_twice(trace, options):
    twice = {name: np.concatenate([values, values]) for name, values in EASY.items()}
    code, _, found = trace(twice, LETTERS, *options)
    assert code == 0
    assert len(found) == N
    if options:  # the published algorithm may go back and forth between both
        return
    assert right(found, truth_of("easy_1")) == len(np.unique(found.xyz, axis=0)) == N
    many = {name: np.concatenate([values, np.repeat(values[:1], 300, axis=0)]) for name, values in EASY.items()}
    code, _, found = trace(many, LETTERS)
    assert right(found, truth_of("easy_1")) == N


def test_a_chain_of_20_000_residues_of_which_few_are_there(trace):
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    code, _, found = trace(EASY, LETTERS + random_letters(20_000 - N))
    assert code == 0
    assert right(found, truth_of("easy_1")) >= 0.95 * N
    assert len(found) <= N
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 500_000  # kB


def test_a_summary_and_what_might_be_elsewhere(trace):
    code, lines, found = trace(EASY)
    assert code == 0
    assert lines[-2].split() == ["a", "copy", "1", str(N), "100%", str(N), "1", f"{found.confidence.mean():.2f}"]
    assert lines[-1].startswith(f"{N} residues placed in ")
    assert not any("might be" in line for line in lines)
    assert found.other_prob.max() < 0.1
    # a sequence that holds the traced part twice
    code, lines, found = trace(EASY, LETTERS + LETTERS)
    assert code == 0
    own, other = (1, N + 1) if found.position[0] < N else (N + 1, 1)
    told = [line for line in lines if "might be" in line]
    assert len(told) == 1
    assert told[0].startswith(f"a copy 1, residues {own}-{own + N - 1}: might be a residues {other}-{other + N - 1} ")
    assert 0.4 < float(told[0].split("probability ")[1].rstrip(")")) <= 0.5
    np.testing.assert_array_equal((found.other_position - found.position) % N, 0)
    np.testing.assert_allclose(found.other_prob, found.register_prob, atol=0.01)


def test_the_number_of_threads_changes_nothing(tmp_path):
    case = CASES / "copies_2"
    command = ["trace", f"{case}.candidates.npz", f"{case}.fasta", "-o"]
    traces = []
    for threads in ("1", "2"):
        environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), threads)
        environment["PYTHONPATH"] = str(ROOT)
        subprocess.run(
            [sys.executable, "-m", "cryo2struct.cli.main", *command, tmp_path / threads], env=environment, check=True
        )
        traces.append(read_trace(tmp_path / threads))
    for name, values in vars(traces[0]).items():
        np.testing.assert_array_equal(getattr(traces[1], name), values)
    assert len(traces[0]) > 100
