"""What is recorded of a run: seconds and memory of each step, counts, warnings, versions; run.json."""

from __future__ import annotations

import json
import platform
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cryo2struct.io.outputs import sha256, write_text
from cryo2struct.settings import Settings

VERSIONED = ("cryo2struct", "torch", "numpy", "scipy", "numba", "gemmi", "mrcfile")


@dataclass
class Recorder:
    """Seconds and peak memory of each step, counts and warnings; passes lines and progress on to whoever shows them.

    Attributes
    ----------
    say : called with each line
    progress : called with the name of a step, parts done and parts in all
    command : the command line, where there was one
    """

    say: Callable[[str], None] = lambda line: None
    progress: Callable[[str, int, int], None] = lambda name, done, total: None
    command: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the body as the step `name`."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if platform.system() != "Darwin" else 2**30)
        self.steps.append({"name": name, "seconds": round(seconds, 3), "peak_memory_gb": round(peak, 3)})
        self.say(f"{name}: {seconds:.1f} s")

    def warn(self, text: str) -> None:
        """Record a warning and show it."""
        self.warnings.append(text)
        self.say(f"warning: {text}")


def save_record(
    folder: Path, record: Recorder, settings: Settings, inputs: dict[str, Path], files: list[str], **more: Any
) -> dict[str, Any]:
    """Write run.json.

    Parameters
    ----------
    folder : path
    record : Recorder
    settings : what the run was made with
    inputs : name to path
    files : names of all files that the run leaves in the folder
    more : further entries

    Returns
    -------
    The content of run.json.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    content = {
        "program": "cryo2struct",
        "command": record.command,
        "files": files,
        "inputs": {name: {"path": str(path.resolve()), "sha256": sha256(path)} for name, path in inputs.items()},
        "settings": settings.model_dump(mode="json"),
        "versions": versions(),
        "weights": record.counts.pop("weights"),
        "steps": record.steps,
        "counts": record.counts,
        **more,
        "warnings": record.warnings,
    }
    write_text(folder / "run.json", json.dumps(content, indent=1) + "\n")
    return content


def versions() -> dict[str, str]:
    """Versions of Python, this program and the libraries it depends on."""
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a checkout that is not installed
            found[name] = "not installed"
    return found
