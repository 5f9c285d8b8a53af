"""Weights on disk: fp16 safetensors, described and checked by a manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cryo2struct.errors import ResourceError
from cryo2struct.networks.classifier import Classifier, ClassifierConfig
from cryo2struct.networks.enhancer import Enhancer, EnhancerConfig
from cryo2struct.networks.manifest import MANIFEST, REMEDY, load_entry, read_manifest
from cryo2struct.networks.residue import ResidueConfig, ResidueNetwork
from cryo2struct.networks.sequence import SequenceConfig, SequenceHead

AnyNetwork = TypeVar("AnyNetwork", bound=torch.nn.Module)
AnyConfig = TypeVar("AnyConfig")


def save_weights(folder: Path, name: str, state: dict[str, Tensor], description: dict[str, Any]) -> Path:
    """Write `name`.safetensors (fp16) into the folder and enter it, with its sha256, into the manifest.

    `description` must hold `config` (arguments of the network's configuration) and says how the weights were made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    temporary = path.with_suffix(".tmp")
    save_file({key: value.detach().half().cpu().contiguous() for key, value in state.items()}, temporary)
    temporary.chmod(0o644)  # safetensors makes it readable by its owner alone
    temporary.replace(path)
    manifest = folder / MANIFEST
    entries = read_manifest(manifest) if manifest.exists() else {}
    entries[name] = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **description}
    manifest.with_suffix(".tmp").write_text(json.dumps(entries, indent=1) + "\n")
    manifest.with_suffix(".tmp").replace(manifest)
    return path


def load_classifier(folder: Path, name: str = "classifier") -> tuple[Classifier, dict[str, Any]]:
    """The classifier with the stored weights, ready for inference on the CPU, and its manifest entry.

    Raises
    ------
    ResourceError
        See `load_entry`; also when the weights do not fit the stored configuration.
    """
    entry = load_entry(folder, name)
    return _filled(Classifier(_configured(ClassifierConfig, entry, folder)), folder / entry["file"]), entry


def load_residue_network(folder: Path, name: str = "residues") -> tuple[ResidueNetwork, dict[str, Any]]:
    """The residue network with the stored weights; see `load_classifier`."""
    entry = load_entry(folder, name)
    return _filled(ResidueNetwork(_configured(ResidueConfig, entry, folder)), folder / entry["file"]), entry


def load_enhancer(folder: Path, name: str = "enhancer") -> tuple[Enhancer, dict[str, Any]]:
    """The enhancer with the stored weights; see `load_classifier`."""
    entry = load_entry(folder, name)
    return _filled(Enhancer(_configured(EnhancerConfig, entry, folder)), folder / entry["file"]), entry


def load_sequence_head(folder: Path, name: str = "sequence") -> tuple[SequenceHead, dict[str, Any]]:
    """The sequence head with the stored weights; see `load_classifier`."""
    entry = load_entry(folder, name)
    return _filled(SequenceHead(_configured(SequenceConfig, entry, folder)), folder / entry["file"]), entry


def _configured(kind: Callable[..., AnyConfig], entry: dict[str, Any], folder: Path) -> AnyConfig:
    """The network's configuration as the manifest has it; lists, which JSON knows instead of tuples, become tuples."""
    try:
        return kind(
            **{key: tuple(value) if isinstance(value, list) else value for key, value in entry["config"].items()}
        )
    except (TypeError, AttributeError) as error:
        raise ResourceError(f"{folder / MANIFEST}: {entry['file']}: config is of another network: {REMEDY}") from error


def _filled(network: AnyNetwork, path: Path) -> AnyNetwork:
    state = {key: value.float() for key, value in load_file(path).items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ResourceError(f"{path}: weights do not fit the network in the manifest") from error
    return network.eval().requires_grad_(False)


def count_parameters(network: torch.nn.Module) -> int:
    """Number of trained values."""
    return sum(p.numel() for p in network.parameters())
