"""Checkpoints of a training: written whole or not at all, refused when they do not belong to the training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cryo2struct.errors import InputError, OutputError, ResourceError

State = dict[str, Any]
PARTS = {"config": dict, "network": dict, "optimiser": dict, "ema": dict, "step": int, "seconds": float}


def write_checkpoint(path: Path, state: State) -> None:
    """Write under a temporary name and rename.

    Raises
    ------
    OutputError
        The disk is full or the folder cannot be written; the former checkpoint stays.
    """
    temporary = path.with_suffix(".tmp")
    try:
        torch.save(state, temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch's own writer raises RuntimeError
        temporary.unlink(missing_ok=True)
        reason = " ".join(str(error).split())[:120]
        raise OutputError(f"{path}: cannot be written ({reason}): free the disk or use another --run") from error


def read_checkpoint(path: Path, config: State, device: torch.device) -> State:
    """The state in a checkpoint.

    Parameters
    ----------
    path : path
    config : the part of the configuration that must be the checkpoint's
    device : where the tensors go

    Raises
    ------
    InputError
        It was made with another configuration.
    ResourceError
        It is damaged, or holds values that are no numbers.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # zip, pickle and torch have a dozen ways to say so
        raise ResourceError(f"{path}: damaged checkpoint ({type(error).__name__}): {_remedy(path)}") from error
    if not isinstance(state, dict) or any(not isinstance(state.get(name), kind) for name, kind in PARTS.items()):
        raise ResourceError(f"{path}: damaged checkpoint (lacks some of {', '.join(PARTS)}): {_remedy(path)}")
    different = _different(config, state["config"])
    if different:
        name, now, before = different[0]
        raise InputError(
            f"{path}: was made with another configuration ({name} {before}, now {now}): use a new --run folder, with "
            "--weights-only-restart to start from exported weights"
        )
    require_numbers(path, state["network"], state["ema"])
    return state


def fill(network: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Put weights into a network.

    Raises
    ------
    ResourceError
        They are of another architecture, or hold values that are no numbers.
    """
    require_numbers(path, weights)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ResourceError(f"{path}: weights of another architecture than the configuration's network") from error


def fill_optimiser(optimiser: torch.optim.Optimizer, state: State, path: Path) -> None:
    """Put a checkpoint's moments into an optimiser.

    Raises
    ------
    ResourceError
        They are not those of this optimiser.
    """
    try:
        optimiser.load_state_dict(state)
    except (LookupError, ValueError, TypeError) as error:
        raise ResourceError(f"{path}: damaged checkpoint (state of the optimiser): {_remedy(path)}") from error


def require_numbers(path: Path, *weights: dict[str, Tensor]) -> None:
    """Refuse weights that hold NaN or infinity."""
    for name, value in (item for group in weights for item in group.items()):
        if not bool(torch.isfinite(value).all()):
            raise ResourceError(f"{path}: {name} holds values that are no numbers: {_remedy(path)}")


def _different(now: State, before: State, parent: str = "") -> list[tuple[str, Any, Any]]:
    """Names and both values of the entries that differ."""
    found: list[tuple[str, Any, Any]] = []
    for key in {**now, **before}:
        a, b = now.get(key, "absent"), before.get(key, "absent")
        if isinstance(a, dict) and isinstance(b, dict):
            found += _different(a, b, f"{parent}{key}.")
        elif a != b:
            found.append((f"{parent}{key}", a, b))
    return found


def _remedy(path: Path) -> str:
    return f"remove it to start anew, or use another --run than {path.parent}"
