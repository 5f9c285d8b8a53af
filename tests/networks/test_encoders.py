"""ESM-2 from a local file in fair-esm's format: a small one with random weights stands for the real ones."""

import re
import sys
from argparse import Namespace
from http.client import IncompleteRead
from itertools import pairwise
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from esm.model.esm2 import ESM2

from cryo2struct.errors import ResourceError
from cryo2struct.networks import encoders
from cryo2struct.networks.encoders import Esm2Encoder, open_encoder, window_starts
from cryo2struct.networks.sequence import encode_builtin

NAME = "esm2_t2_tiny"
LONG = "".join(np.random.default_rng(0).choice(list("ACDEFGHIKLMNPQRSTVWY"), 130))


def save_esm2(path, seed=0, layers=2):
    """A file as fair-esm's downloads are, without contact regression, and its model."""
    torch.manual_seed(seed)
    model = ESM2(num_layers=layers, embed_dim=16, attention_heads=2).eval()
    shape = Namespace(encoder_layers=layers, encoder_embed_dim=16, encoder_attention_heads=2, token_dropout=True)
    state = {
        f"encoder.sentence_encoder.{name}": value
        for name, value in model.state_dict().items()
        if "regression" not in name
    }
    torch.save({"cfg": {"model": shape}, "model": state}, path)
    return model


def direct(model, letters):
    """Embeddings by calling the model."""
    _, _, tokens = model.alphabet.get_batch_converter()([("x", letters)])
    with torch.no_grad():
        return model(tokens, repr_layers=[model.num_layers])["representations"][model.num_layers][0, 1:-1]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder for embeddings."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache"


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "any_name.pt"
    return path, save_esm2(path)


def test_embeddings_are_those_of_the_model(weights, cache):
    path, model = weights
    encoder = Esm2Encoder(NAME, path)
    for letters in ("MKVLAAGX", LONG):
        found = encoder(letters)
        assert found.shape == (len(letters), 16)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, direct(model, letters), atol=1e-5, rtol=1e-4)
    assert torch.equal(open_encoder(NAME, path)("MKV"), torch.cat([encode_builtin("MKV"), encoder("MKV")], dim=1))


def test_long_chains_are_read_in_windows(weights, cache, monkeypatch):
    monkeypatch.setattr(encoders, "WINDOW", 60)
    monkeypatch.setattr(encoders, "OVERLAP", 20)
    path, model = weights
    found = Esm2Encoder(NAME, path)(LONG)
    starts = window_starts(130)
    assert starts[0] == 0
    assert starts[-1] == 70
    assert max(np.diff(starts)) <= 40
    middles = np.array(starts) + 59 / 2
    windows = [direct(model, LONG[start : start + 60]) for start in starts]
    for residue in range(130):
        which = int(np.abs(residue - middles).argmin())
        torch.testing.assert_close(found[residue], windows[which][residue - starts[which]], atol=1e-5, rtol=1e-4)
    # one residue more than a window: two windows, joined in the middle
    short = Esm2Encoder(NAME, path)(LONG[:61])
    torch.testing.assert_close(short[:30], direct(model, LONG[:60])[:30], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(short[31:], direct(model, LONG[1:61])[30:], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("length", [1, 1000, 1001, 1800, 1801, 5000])
def test_windows_cover_everything(length):
    starts = window_starts(length)
    covered = np.zeros(length, dtype=int)
    for start in starts:
        covered[start : start + 1000] += 1
    assert covered.min() >= 1
    assert starts[-1] + 1000 == length or starts == [0]
    assert all(later - earlier <= 800 for earlier, later in pairwise(starts))


def test_kept_embeddings_do_not_run_the_model(weights, cache, monkeypatch, tmp_path):
    path, _ = weights
    first = Esm2Encoder(NAME, path)("MKVLAAG")
    assert len(list(cache.rglob("*.npz"))) == 1
    other = tmp_path / "other.pt"
    changed = save_esm2(other, seed=1)
    torch.testing.assert_close(Esm2Encoder(NAME, other)("MKVLAAG"), direct(changed, "MKVLAAG"), atol=1e-5, rtol=1e-4)

    def fail(*_):
        raise AssertionError("the model was read")

    monkeypatch.setattr(encoders, "read_esm2", fail)
    assert torch.equal(Esm2Encoder(NAME, path)("MKVLAAG"), first)
    monkeypatch.undo()


def test_damaged_kept_embeddings_are_made_again(weights, cache):
    path, model = weights
    Esm2Encoder(NAME, path)("MKVLAAG")
    (kept,) = cache.rglob("*.npz")
    kept.write_bytes(kept.read_bytes()[:50])
    torch.testing.assert_close(Esm2Encoder(NAME, path)("MKVLAAG"), direct(model, "MKVLAAG"), atol=1e-5, rtol=1e-4)
    with np.load(kept) as archive:
        assert archive["embeddings"].shape == (7, 16)


def test_folder_that_cannot_be_written_gives_one_warning(weights, cache):
    path, model = weights
    cache.write_text("a file, no folder")
    warned = []
    encoder = Esm2Encoder(NAME, path, warned.append)
    for letters in ("MKV", "GSH"):
        torch.testing.assert_close(encoder(letters), direct(model, letters), atol=1e-5, rtol=1e-4)
    assert len(warned) == 1
    assert "cannot be kept" in warned[0]


def refusal(name, path):
    with pytest.raises(ResourceError) as caught:
        open_encoder(name, path)("MKV")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_refusals(weights, cache, tmp_path, monkeypatch):
    path, _ = weights
    assert "--esm-weights" in refusal(NAME, None)
    assert "no such file" in refusal(NAME, tmp_path / "none.pt")
    assert "2 layers, not esm2_t6_8M" in refusal("esm2_t6_8M", path)
    damaged = tmp_path / "damaged.pt"
    for content in (b"", b"no weights", path.read_bytes()[:2000]):
        damaged.write_bytes(content)
        assert "no ESM-2 weights that can be read" in refusal(NAME, damaged)
    torch.save({"something": torch.zeros(3)}, damaged)
    assert "no ESM-2 weights that can be read" in refusal(NAME, damaged)
    torch.save([1, 2], damaged)
    assert "no ESM-2 weights that can be read" in refusal(NAME, damaged)
    torch.save({"cfg": Path("code that a pickle could run")}, damaged)
    assert "no ESM-2 weights that can be read" in refusal(NAME, damaged)
    monkeypatch.setitem(sys.modules, "esm.pretrained", None)
    assert "fair-esm is not installed" in refusal(NAME, path)


TINY = "esm2_t6_8M"  # the shape of the shortest one that is fetched, but narrow


def stub_download(monkeypatch, content):
    """What is fetched is `content`; a list of what was asked for."""
    asked = []

    def download(address, path, progress):
        asked.append(address)
        if isinstance(content, Exception):
            raise content
        Path(path).write_bytes(content)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    return asked


def test_weights_are_fetched_once_and_only_when_asked_for(cache, tmp_path, monkeypatch):
    model = save_esm2(tmp_path / "far.pt", layers=6)
    asked = stub_download(monkeypatch, (tmp_path / "far.pt").read_bytes())
    assert "or fetch it with --esm-weights download" in refusal(TINY, None)
    assert "no such file" in refusal(TINY, tmp_path / "download")
    assert asked == []
    for _ in range(2):
        encoder = open_encoder(TINY, Path("download"))
        torch.testing.assert_close(encoder("MKV")[:, -16:], direct(model, "MKV"), atol=1e-5, rtol=1e-4)
    assert asked == ["https://dl.fbaipublicfiles.com/fair-esm/models/esm2_t6_8M_UR50D.pt"]
    assert [path.name for path in (cache / "cryo2struct" / "esm2").iterdir()] == ["esm2_t6_8M_UR50D.pt"]


def test_a_download_that_fails_leaves_nothing(cache, tmp_path, monkeypatch):
    save_esm2(tmp_path / "other.pt", layers=2)
    for content, said in (
        (URLError(OSError(101, "Network is unreachable")), "cannot be fetched into .*Network is unreachable.*PATH"),
        (IncompleteRead(b""), "cannot be fetched into"),
        (b"<html>log in here</html>", "no ESM-2 weights that can be read"),
        ((tmp_path / "other.pt").read_bytes(), "2 layers, not esm2_t6_8M"),
        ((tmp_path / "other.pt").read_bytes()[:3000], "no ESM-2 weights that can be read"),
    ):
        stub_download(monkeypatch, content)
        assert re.search(said, refusal(TINY, "download"))
        assert not list((cache / "cryo2struct" / "esm2").iterdir())
    asked = stub_download(monkeypatch, b"")
    assert "esm2_t36_3B is none of esm2_t6_8M, " in refusal("esm2_t36_3B", "download")
    cache.rename(tmp_path / "former")
    cache.write_text("a file, no folder")
    assert "cannot be fetched into" in refusal(TINY, "download")
    monkeypatch.setitem(sys.modules, "esm.pretrained", None)
    assert "fair-esm is not installed" in refusal(TINY, "download")
    assert asked == []


def test_no_answer_at_the_address_is_one_line(cache, monkeypatch):
    monkeypatch.setattr(encoders, "ADDRESS", "http://127.0.0.1:9/")  # the port of discard, where nobody listens
    assert "127.0.0.1:9/esm2_t6_8M_UR50D.pt: cannot be fetched" in refusal(TINY, "download")


def test_a_file_that_lacks_a_layer_is_refused(weights, cache, tmp_path):
    path, _ = weights
    with torch.serialization.safe_globals([Namespace]):
        data = torch.load(path, weights_only=True)
    data["model"] = {name: value for name, value in data["model"].items() if "layers.1" not in name}
    torch.save(data, path)
    assert "Missing key" in refusal(NAME, path) or "state_dict" in refusal(NAME, path)
