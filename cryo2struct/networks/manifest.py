"""The manifest of weights: which there are, and whether a file is the one that is meant. Needs no torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from cryo2struct.errors import ResourceError

MANIFEST = "manifest.json"


def load_entry(folder: Path, name: str) -> dict[str, Any]:
    """What the manifest says about `name`.

    Raises
    ------
    ResourceError
        No manifest, no such entry, or the file's sha256 differs from the manifest's.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise ResourceError(f"{manifest}: not found: install the package again or give another folder of weights")
    entries: dict[str, dict[str, Any]] = json.loads(manifest.read_text())
    if name not in entries:
        raise ResourceError(f"{manifest}: has no weights named {name!r}, only {', '.join(entries)}")
    path = folder / entries[name]["file"]
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
    if found != entries[name]["sha256"]:
        raise ResourceError(f"{path}: sha256 is {found}, manifest says {entries[name]['sha256']}: fetch the file again")
    return entries[name]
