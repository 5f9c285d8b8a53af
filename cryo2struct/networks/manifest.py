"""The manifest of weights: which there are, and whether a file is the one that is meant. Needs no torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from cryo2struct.errors import ResourceError

MANIFEST = "manifest.json"
REMEDY = "install the package again or give another folder of weights"


def load_entry(folder: Path, name: str) -> dict[str, Any]:
    """What the manifest says about `name`.

    Raises
    ------
    ResourceError
        No manifest, a damaged one, no such entry, or the file's sha256 differs from the manifest's.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise ResourceError(f"{manifest}: not found: {REMEDY}")
    entries = read_manifest(manifest)
    if name not in entries:
        raise ResourceError(f"{manifest}: has no weights named {name!r}, only {', '.join(entries)}")
    if not {"file", "sha256", "config"} <= entries[name].keys():
        raise ResourceError(f"{manifest}: damaged ({name} lacks file, sha256 or config): {REMEDY}")
    path = folder / entries[name]["file"]
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
    if found != entries[name]["sha256"]:
        raise ResourceError(f"{path}: sha256 is {found}, manifest says {entries[name]['sha256']}: fetch the file again")
    return entries[name]


def read_manifest(manifest: Path) -> dict[str, dict[str, Any]]:
    """What a manifest says, by the names of weights.

    Raises
    ------
    ResourceError
        It cannot be read.
    """
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ResourceError(f"{manifest}: damaged ({type(error).__name__}): {REMEDY}") from error
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise ResourceError(f"{manifest}: damaged (no mapping of names to entries): {REMEDY}")
    return entries
