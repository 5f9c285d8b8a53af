"""Atomic protein models from cryo-EM density maps and sequences.

import cryo2struct

density_map, warnings = cryo2struct.read_map("map.mrc")
sequences, more = cryo2struct.read_sequences("seq.fasta")
result = cryo2struct.build(density_map, sequences, cryo2struct.load_settings())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryo2struct.enhancement import enhance as enhance
    from cryo2struct.evaluation import evaluate as evaluate
    from cryo2struct.io.maps import read_map as read_map
    from cryo2struct.io.models import read_structure as read_structure
    from cryo2struct.io.sequences import read_sequences as read_sequences
    from cryo2struct.pipeline import build as build
    from cryo2struct.pipeline import classify as classify
    from cryo2struct.pipeline import complete_model as complete_model
    from cryo2struct.settings import load_settings as load_settings
    from cryo2struct.tracing import trace as trace

_WHERE = {
    "build": "pipeline",
    "classify": "pipeline",
    "complete_model": "pipeline",
    "enhance": "enhancement",
    "evaluate": "evaluation",
    "load_settings": "settings",
    "read_map": "io.maps",
    "read_sequences": "io.sequences",
    "read_structure": "io.models",
    "trace": "tracing",
}

__all__ = [
    "build",
    "classify",
    "complete_model",
    "enhance",
    "evaluate",
    "load_settings",
    "read_map",
    "read_sequences",
    "read_structure",
    "trace",
]


def __getattr__(name: str) -> Any:
    # Imported on first use: `import cryo2struct` costs nothing, and torch is loaded by what needs it.
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
