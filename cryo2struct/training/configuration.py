"""Configurations of trainings: read from YAML, changed from the command line, refused when a value cannot be.

Without pydantic, as training must start where that is not installed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cryo2struct.errors import InputError, UsageError

Config = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """What a value must be: in words, and as a test that may raise TypeError."""

    wanted: str
    fits: Callable[[Any], bool]


Schema = dict[str, "Value | Schema"]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _are(fits: Callable[[Any], bool], values: Any) -> bool:
    return isinstance(values, list) and len(values) > 0 and all(fits(value) for value in values)


def _whole(least: int) -> Value:
    return Value(f"a whole number of {least} or more", lambda value: _is_whole(value) and value >= least)


def _widths(*multiples: int) -> Value:
    return Value(
        f"a list of {len(multiples)} whole numbers, multiples of {', '.join(map(str, multiples))},",
        lambda values: (
            _are(lambda width: _is_whole(width) and width > 0, values)
            and len(values) == len(multiples)
            and all(width % multiple == 0 for width, multiple in zip(values, multiples, strict=True))
        ),
    )


TEXT = Value("text", lambda value: isinstance(value, str) and value != "")
FILE = Value("a file or null", lambda value: value is None or TEXT.fits(value))
FOLDER = Value("a folder or null", FILE.fits)
# YAML takes 1e-3 for text.
ABOVE_0 = Value("a number above 0, like 0.001 or 1.0e-3,", lambda value: _is_number(value) and value > 0)
NOT_BELOW_0 = Value("a number of 0 or more, like 0.001 or 1.0e-3,", lambda value: _is_number(value) and value >= 0)
FAMILY = Value("paired, swin or plain", lambda value: value in ("paired", "swin", "plain"))
SHARE = Value("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
BELOW_1 = Value("a number from 0 to below 1", lambda value: _is_number(value) and 0 <= value < 1)
RESOLUTIONS = Value("a list of numbers above 0", lambda values: _are(ABOVE_0.fits, values))
RANGE = Value(
    "a list of two rising numbers above 0",
    lambda values: RESOLUTIONS.fits(values) and len(values) == 2 and values[0] <= values[1],
)

SHARED: Schema = {
    "task": TEXT,
    "seed": _whole(0),
    "optimiser": {
        "batch": _whole(1),
        "steps": _whole(1),
        "warmup": _whole(0),
        "learning_rate": ABOVE_0,
        "final_learning_rate": NOT_BELOW_0,
        "weight_decay": NOT_BELOW_0,
        "clip": ABOVE_0,
        "ema": BELOW_1,
    },
    "checkpoint_minutes": NOT_BELOW_0,
    "log_every": _whole(1),
}
SIMULATED: Schema = {
    "pack": TEXT,
    "resolutions": RANGE,
    "nucleic_share": SHARE,
    "structureless_share": SHARE,
    "workers": _whole(0),
}
OF_CROPS: Schema = {
    "data": {**SIMULATED, "real": FOLDER, "real_share": SHARE},
    "validate": {"every": _whole(1), "crops": _whole(1), "resolutions": RESOLUTIONS},
}


def _weights(*names: str) -> Schema:
    return dict.fromkeys(names, NOT_BELOW_0)


SCHEMAS: dict[str, Schema] = {
    "classifier": {
        **SHARED,
        **OF_CROPS,
        "network": {"widths": _widths(8, 8, 32), "blocks": _whole(0), "attention_blocks": _whole(0)},
        "loss": _weights("atoms", "aa", "ss", "nonprotein", "offset", "direction"),
    },
    "residues": {
        **SHARED,
        **OF_CROPS,
        "network": {"widths": _widths(8, 8), "hidden": _whole(1)},
        "loss": _weights("aa", "frame", "ss", "ca", "backbone", "direction"),
    },
    "enhancer": {
        **SHARED,
        **OF_CROPS,
        "data": SIMULATED,  # crops of experimental maps have no atoms to make a target of
        "network": {"family": FAMILY, "widths": _widths(16, 32, 32), "blocks": _whole(0)},
        "loss": _weights("squared", "smooth", "similarity"),
    },
    "sequence": {
        **SHARED,
        "network": {
            "encoder": TEXT,
            "embedding": _whole(1),
            "width": _whole(1),
            "layers": _whole(0),
            "neighbours": _whole(1),
        },
        "data": {"pack": TEXT, "esm_weights": FILE, "workers": _whole(0)},
        "loss": _weights("aa", "attention"),
        "validate": {"every": _whole(1), "sets": _whole(1)},
    },
}
"""What the configuration of each task holds: every key, and no other."""


def read_config(path: Path, changes: list[str]) -> Config:
    """The YAML file with `key.key=value` changes applied.

    Raises
    ------
    InputError
        The file is missing, no YAML, lacks a key, has an unknown one, or a value of the wrong kind.
    UsageError
        A change names a key that the file does not have, or gives a value of the wrong kind.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such configuration: give --config FILE")
    try:
        config: Config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): give another --config FILE") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path}: configuration is no YAML: {' '.join(str(error).split())}") from error
    if fault := fault_of(config):
        raise InputError(f"{path}: {fault}")
    for change in changes:
        _apply(change, config)
        if fault := fault_of(config):
            raise UsageError(f"--set {change}: {fault}")
    return config


def _apply(change: str, config: Config) -> None:
    key, separator, value = change.partition("=")
    *parents, last = key.split(".")
    place: Any = config
    for parent in parents:
        place = place.get(parent) if isinstance(place, dict) else None
    if not separator or not isinstance(place, dict) or last not in place:
        raise UsageError(f"--set {change}: the configuration has no {key}")
    try:
        place[last] = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"--set {change}: the value is no YAML: put it in quotes") from error


def fault_of(config: Any) -> str | None:
    """What is wrong with a configuration, and what is needed; None when nothing is."""
    task = config.get("task") if isinstance(config, dict) else None
    if isinstance(config, dict) and not (isinstance(task, str) and task in SCHEMAS):
        return f"task is {_shown(task)}: one of {', '.join(SCHEMAS)} is needed"
    return _fault(config, SCHEMAS[task] if task else {}, "")


def _fault(values: Any, schema: Value | Schema, name: str) -> str | None:
    if isinstance(schema, Value):
        return None if schema.fits(values) else f"{name} is {_shown(values)}: {schema.wanted} is needed"
    if not isinstance(values, dict):
        return f"{name or 'the configuration'} is {_shown(values)}: a mapping, 'key: value' lines, is needed"
    before = f"{name}." if name else ""
    for key in values:
        if key not in schema:
            return f"{before}{key} is not known: remove it (known are {', '.join(schema)})"
    for key, part in schema.items():
        if key not in values:
            return f"{before}{key} is missing: add it, see the same configuration of this package"
        if fault := _fault(values[key], part, before + key):
            return fault
    return None


def _shown(value: Any) -> str:
    """A value in at most one short line."""
    text = "empty" if value is None else " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
