"""Scores of many models: the files that `evaluate-set` leaves, and reading them again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryo2struct.errors import InputError, OutputError
from cryo2struct.io.outputs import refuse_inputs, write_csv, write_text
from cryo2struct.io.streams import read_bytes

FILES = ("scores.csv", "scores.md", "scores.json")


def check_score_files(folder: Path, force: bool, inputs: Iterable[Path]) -> None:
    """Refuse to write over an input, or, unless `force`, over earlier scores; raises OutputError."""
    refuse_inputs([folder / name for name in FILES], inputs)
    for name in FILES:
        if (folder / name).exists() and not force:
            raise OutputError(f"{folder / name}: exists; choose another folder, or --force to replace it")


def write_score_files(folder: Path, content: Mapping[str, Any], text: str) -> None:
    """Write the scores of a set.

    Parameters
    ----------
    folder : path
    content : of scores.json; its "models" are the rows of scores.csv
    text : of scores.md

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    models = content["models"]
    names = dict.fromkeys(name for model in models for name in model["scores"])
    rows = [
        {"name": model["name"], "error": model["error"], **{name: model["scores"].get(name) for name in names}}
        for model in models
    ]
    write_csv(folder / "scores.csv", rows)
    write_text(folder / "scores.md", text)
    write_text(folder / "scores.json", json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_models(path: Path) -> list[dict[str, Any]]:
    """The models of a scores.json: name, error (None where it has scores) and scores by name.

    Raises
    ------
    InputError
        The file is missing, or no scores.json.
    """
    try:
        models = json.loads(read_bytes(path).decode())["models"]
        found = [{key: model[key] for key in ("name", "error", "scores")} for model in models]
    except (ValueError, KeyError, TypeError):
        found = []
    if not found or not all(_is_scored(model["scores"]) for model in found):
        raise InputError(f"{path}: holds no scores of models; give the scores.json of an evaluate-set -o FOLDER")
    return found


def _is_scored(scores: object) -> bool:
    numbers = scores.values() if isinstance(scores, dict) else [""]
    return all(value is None or (isinstance(value, int | float) and math.isfinite(value)) for value in numbers)
