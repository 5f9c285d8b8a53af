"""Damaged inputs, 2,400 in all: each is read or refused in one line; nothing else is raised, no file is changed."""

import bz2
import gzip
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from map_bytes import density, map_bytes

from cryo2struct import preflight
from cryo2struct.errors import InputError, NothingToBuildError
from cryo2struct.io.maps import read_map, read_mask
from cryo2struct.io.sequences import read_sequences
from cryo2struct.objects import GridFrame
from cryo2struct.settings import load_settings

pytestmark = pytest.mark.slow


class Content(bytes):
    """Bytes of a file, too many to print."""

    def __repr__(self):
        return f"<{len(self)} bytes>"


SHAPE = (17, 18, 20)
FRAME = GridFrame(SHAPE, np.full(3, 1.5), np.zeros(3))
OPTIONS = load_settings()
COMPRESSIONS = [gzip.compress, bz2.compress]
fuzz = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True)

maps = st.builds(
    lambda *args, **fields: Content(map_bytes(*args, **fields)),
    st.just(density(SHAPE)),
    mode=st.sampled_from([0, 1, 2, 12]),
    order=st.sampled_from("<>"),
    axes=st.permutations((1, 2, 3)),
    extended=st.sampled_from([b"", b"x" * 80]),
)
"""A map as it should be."""

words = st.one_of(
    st.sampled_from([-(2**31), -1, 0, 1, 2, 3, 12, 16, 17, 80, 101, 401, 2**16, 2**31 - 1]).map(
        lambda number: struct.pack("<i", number)
    ),
    st.floats(width=32).map(lambda number: struct.pack("<f", number)),
    st.binary(min_size=4, max_size=4),
)
"""Four bytes as a whole number, as a float (also not a number, infinite, tiny), or any."""


@st.composite
def with_wrong_words(draw):
    """A map with up to four words replaced, mostly in the part of the header that has a meaning, in either order."""
    content = bytearray(draw(maps))
    for _ in range(draw(st.integers(1, 4))):
        number = draw(st.one_of(st.integers(0, 56), st.integers(0, len(content) // 4 - 1)))
        word = draw(words)
        content[4 * number : 4 * number + 4] = word[:: draw(st.sampled_from([1, -1]))]
    return Content(content)


@st.composite
def damaged(draw, contents):
    """Up to six bytes changed, taken out or put in, and perhaps the end cut off."""
    content = bytearray(draw(contents))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.sampled_from([0, 1, 1, 1, 4, 100]))
        content[place : place + length] = draw(st.binary(min_size=1, max_size=4))
    return Content(content[: draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))])


compressed = st.builds(lambda compress, content: Content(compress(content)), st.sampled_from(COMPRESSIONS), maps)
headers = [">x", ">", ">8HB0_1|Chains A, C[auth X]|virus|host", ">x|Chain A, |", ">sp|P12345| enzyme", ";comment", ""]
letters = ["MSKVLETQWY", "msk*", "*", "MUOBZJXK", "ACGU", "acgtn", "MK-V", "MK1", "\x85\u2028", "\x0c\x1c", "\0", ""]
record = st.tuples(
    st.one_of(st.sampled_from(headers), st.text(max_size=12).map(">".__add__)),
    st.sampled_from(letters[:6]),
    st.one_of(st.just(""), st.sampled_from(letters), st.text(max_size=12)),
)
fasta = st.builds(
    lambda records, end, encoding: end.join(line for record in records for line in record).encode(encoding),
    st.lists(record, min_size=1, max_size=4),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
"""Records much like those of FASTA files."""


def survives(folder, content, *readers):
    """Each reader gives a result with one-line warnings, or a one-line refusal; the file is as it was."""
    path = folder / "input"
    path.write_bytes(content)
    for read in readers:
        try:
            messages = read(path)
        except (InputError, NothingToBuildError) as refusal:
            messages = [str(refusal)]
        for line in messages:
            assert line.isprintable(), repr(line)
            assert ": " in line
    assert path.read_bytes() == content
    assert [entry.name for entry in folder.iterdir()] == ["input"]


def as_map(path):
    density_map, warnings = read_map(path, max_voxels=10**6)
    assert np.isfinite(density_map.values).all()
    assert np.isfinite(density_map.frame.origin).all()
    assert (density_map.frame.voxel > 0).all()
    return warnings + preflight.judge(preflight.look(density_map, OPTIONS))


def as_mask(path):
    mask, warnings = read_mask(path, FRAME)
    assert mask.values.shape == SHAPE
    assert mask.values.min() >= 0
    assert 0 < mask.values.max() <= 1
    return warnings


def as_sequences(path):
    sequences, warnings = read_sequences(path)
    assert all(entity.letters for entity in sequences.entities)
    assert sequences.entities
    return warnings


@settings(fuzz, max_examples=800)
@given(with_wrong_words())
def test_headers(tmp_path, content):
    survives(tmp_path, content, as_map, as_mask)


@settings(fuzz, max_examples=300)
@given(damaged(maps))
def test_cut_and_shifted_maps(tmp_path, content):
    survives(tmp_path, content, as_map, as_mask)


@settings(fuzz, max_examples=400)
@given(damaged(compressed))
def test_damaged_compression(tmp_path, content):
    survives(tmp_path, content, as_map, as_sequences)


@settings(fuzz, max_examples=900)
@given(st.one_of(fasta, damaged(fasta), damaged(st.builds(gzip.compress, fasta))))
def test_sequences(tmp_path, content):
    survives(tmp_path, content, as_sequences, as_map)
