"""Encoders of sequences: the built-in one, and ESM-2 through fair-esm."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import pickle
import re
import sys
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from cryo2struct.errors import ResourceError
from cryo2struct.networks.esm2_files import ADDRESS, DOWNLOAD, weights_file
from cryo2struct.networks.sequence import BUILTIN, encode_builtin

Encoder = Callable[[str], Tensor]
"""From the letters of a sequence to embeddings (L, width)."""

ESM2_NAME = re.compile(r"esm2_t(\d+)_\w+")

WINDOW = 1000
"""Longer sequences are read in windows of so many residues."""

OVERLAP = 200
"""Residues that neighbouring windows share at least."""


def open_encoder(
    name: str, weights: str | Path | None = None, warn: Callable[[str], object] = warnings.warn
) -> Encoder:
    """The encoder `name`: `BUILTIN`, or an ESM-2 model such as esm2_t6_8M whose file is `weights`.

    With `DOWNLOAD` instead of a file, fair-esm's own is fetched, unless the user's cache folder has it.

    Embeddings of an ESM-2 model come behind those of the built-in encoder.

    `warn` is called with a line when embeddings cannot be kept.

    Raises
    ------
    ResourceError
        See `Esm2Encoder` and `fetch_esm2`; also when an ESM-2 model is asked for without a file.
    """
    if name == BUILTIN:
        return encode_builtin
    if weights is None:
        raise ResourceError(
            f"sequence features {name}: no weights given: name the file with --esm-weights PATH, or fetch it "
            f"with --esm-weights {DOWNLOAD}"
        )
    path = weights_file(name, weights)
    if str(weights) == DOWNLOAD and not path.is_file():
        fetch_esm2(name, path)
    model = Esm2Encoder(name, path, warn)
    return partial(_behind_builtin, model)  # can be sent to the processes that draw training sets


def _behind_builtin(model: Encoder, letters: str) -> Tensor:
    return torch.cat([encode_builtin(letters), model(letters)], dim=1)


class Esm2Encoder:
    """Embeddings of an ESM-2 model: its last layer, without the begin and end tokens.

    Embeddings are kept in the user's cache folder under the sha256 of the weights file and the sequence.

    Raises
    ------
    ResourceError
        fair-esm is not installed, the file is missing or damaged, or it holds another model than `name`.
    """

    def __init__(self, name: str, weights: Path, warn: Callable[[str], object] = warnings.warn) -> None:
        self.name = name
        self.weights = weights
        self._warn = warn
        if not weights.is_file():
            raise ResourceError(f"{weights}: no such file: give the ESM-2 weights with --esm-weights PATH")
        with weights.open("rb") as stream:
            self._digest = hashlib.file_digest(stream, "sha256").hexdigest()
        self._model: Any = None
        self._alphabet: Any = None
        self._cache_works = True

    def __call__(self, letters: str) -> Tensor:
        """Embeddings (L, width) of a sequence, float32, from the cache where they are there."""
        path = self._cache_path(letters)
        if path is not None and path.is_file():
            try:
                with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                    return torch.from_numpy(archive["embeddings"])
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                pass  # written anew below
        embeddings = self._windows(letters)
        self._keep(path, embeddings)
        return embeddings

    def _windows(self, letters: str) -> Tensor:
        """Each residue from the window in which it is most central."""
        if self._model is None:
            self._model, self._alphabet = read_esm2(self.name, self.weights)
        starts = window_starts(len(letters))
        parts = [self._embed(letters[start : start + WINDOW]) for start in starts]
        position = torch.arange(len(letters))
        # distance to the middle of each window; the first of equal ones
        middle = torch.tensor([start + (len(part) - 1) / 2 for start, part in zip(starts, parts, strict=True)])
        owner = (position[:, None] - middle).abs().argmin(dim=1)
        return torch.cat([part[position[owner == number] - starts[number]] for number, part in enumerate(parts)])

    @torch.inference_mode()
    def _embed(self, letters: str) -> Tensor:
        _, _, tokens = self._alphabet.get_batch_converter()([("", letters)])
        last = self._model.num_layers
        return self._model(tokens, repr_layers=[last])["representations"][last][0, 1:-1].float().clone()

    def _cache_path(self, letters: str) -> Path | None:
        if not self._cache_works:
            return None
        from platformdirs import user_cache_path

        key = hashlib.sha256(f"{self._digest} {letters}".encode()).hexdigest()
        return user_cache_path("cryo2struct") / "embeddings" / f"{key}.npz"

    def _keep(self, path: Path | None, embeddings: Tensor) -> None:
        if path is None:
            return
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                np.savez(stream, embeddings=embeddings.numpy())
            temporary.replace(path)
        except OSError as error:
            self._cache_works = False
            with contextlib.suppress(OSError):
                temporary.unlink()
            self._warn(f"{path.parent}: embeddings cannot be kept ({error.strerror}): they are computed in every run")


def window_starts(length: int) -> list[int]:
    """Starts of the windows over a sequence, evenly spread, neighbours sharing `OVERLAP` residues or more."""
    if length <= WINDOW:
        return [0]
    count = 1 + -(-(length - WINDOW) // (WINDOW - OVERLAP))
    return [round(number * (length - WINDOW) / (count - 1)) for number in range(count)]


def fetch_esm2(name: str, path: Path) -> None:
    """Fetch fair-esm's own file of an ESM-2 model; it gets its name once it can be read.

    Raises
    ------
    ResourceError
        fair-esm is not installed, the file cannot be fetched or kept, or what came is not that model.
    """
    _fair_esm()  # before much is fetched
    address = ADDRESS + path.name
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(temporary), progress=sys.stderr.isatty())
        read_esm2(name, temporary)
        temporary.replace(path)
    except (OSError, HTTPException) as error:
        raise ResourceError(
            f"{address}: cannot be fetched into {path.parent} ({error}): fetch it on another machine and give it with "
            "--esm-weights PATH"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _fair_esm() -> Callable[..., tuple[Any, Any]]:
    """fair-esm's function that makes a model of the content of a file."""
    try:
        from esm.pretrained import load_model_and_alphabet_core
    except ImportError as error:
        raise ResourceError(
            "sequence features: fair-esm is not installed: pip install 'cryo2struct[esm]', or use builtin"
        ) from error
    return cast(Callable[..., tuple[Any, Any]], load_model_and_alphabet_core)


def read_esm2(name: str, weights: Path) -> tuple[Any, Any]:
    """The ESM-2 model of a local file in fair-esm's format, and its alphabet.

    fair-esm reads files by `torch.load` without arguments, which recent torch refuses; the file is read here.

    Raises
    ------
    ResourceError
        See `Esm2Encoder`.
    """
    load_model_and_alphabet_core = _fair_esm()
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            data = torch.load(weights, map_location="cpu", weights_only=True)
        found = f"esm2_t{data['cfg']['model'].encoder_layers}"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Regression weights not found")  # of contacts: not needed
            model, alphabet = load_model_and_alphabet_core(found, data, None)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).strip().split("\n")[0][:100]
        raise ResourceError(f"{weights}: no ESM-2 weights that can be read ({reason}): fetch the file again") from error
    asked = ESM2_NAME.fullmatch(name)
    if asked is None or int(asked[1]) != model.num_layers:
        raise ResourceError(f"{weights}: holds an ESM-2 of {model.num_layers} layers, not {name}: give its own file")
    return model.eval().requires_grad_(False), alphabet
