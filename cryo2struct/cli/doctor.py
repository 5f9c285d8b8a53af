"""`cryo2struct doctor`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LEAST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Finding:
    """One line of the report. A fault makes something unusable; a warning does not."""

    topic: str
    text: str
    cure: str = ""
    fault: bool = False

    def __str__(self) -> str:
        word = "" if not self.cure else "FAULT: " if self.fault else "warning: "
        return f"{self.topic:<10}  {word}{self.text}{f'; {self.cure}' if self.cure else ''}"


def doctor() -> None:
    """Look at the installation: what is used, from where, and what is wrong with it."""
    from cryo2struct.errors import ResourceError

    faults = []
    for examine in (_python, _packages, _torch, _weights, _cache):
        for finding in examine():
            print(finding)
            if finding.fault:
                faults.append(finding.topic)
    if faults:
        raise ResourceError(f"installation: not usable: {', '.join(faults)}: see the lines above")
    print("nothing here hinders a build")


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < LEAST_PYTHON
    yield Finding("python", f"{version}, {sys.executable}", "install Python 3.11 or later" if old else "", old)


def _packages() -> Iterator[Finding]:
    """Where the packages come from whose names others use, too."""
    import cryo2struct

    home = Path(cryo2struct.__file__).resolve().parent
    yield Finding("cryo2struct", str(home))
    engine = _location("hmm")
    if engine is not None and engine.parent == home.parent:
        yield Finding("hmm", str(engine))
    else:
        yield Finding(
            "hmm",
            f"{engine or 'not found'}, which is not the one of cryo2struct",
            "take other packages called hmm out of this environment and of PYTHONPATH, install cryo2struct again",
            fault=True,
        )
    language_model = _location("esm")
    if language_model is None:
        yield Finding("esm", "not installed; nothing here needs it")
    elif (language_model / "model" / "esm2.py").exists():
        yield Finding("esm", f"{language_model} (fair-esm)")
    else:
        yield Finding(
            "esm", f"{language_model} is not fair-esm", "if ESM-2 is wanted: pip uninstall esm; pip install fair-esm"
        )


def _location(name: str) -> Path | None:
    """Folder of a package, which is not imported."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).resolve().parent if spec is not None and spec.origin else None


def _torch() -> Iterator[Finding]:
    from cryo2struct import hardware

    try:
        from cryo2struct.prediction.device import choose_device, describe_device, describe_torch
    except (ImportError, OSError) as error:
        yield Finding("torch", f"cannot be imported ({error})", "install PyTorch as pytorch.org says", fault=True)
        return
    version, cuda = describe_torch()
    yield Finding("torch", f"{version}, {f'built for CUDA {cuda}' if cuda else 'built for the CPU alone'}")
    device = choose_device("auto")
    gpus = hardware.list_gpus()
    if not gpus or device.type == "cuda":
        yield Finding("device", describe_device(device))
    elif cuda is None:
        cure = "install the CUDA build of PyTorch to use it"
        yield Finding("device", f"{describe_device(device)}; {gpus[0].name} is left idle", cure)
    else:
        cure = f"install a driver that is new enough for CUDA {cuda}, or say --device cpu"
        yield Finding("device", f"{gpus[0].name} cannot be used by this PyTorch", cure, fault=True)
    yield Finding("cores", f"{hardware.cores()} usable; fewer with --threads")


def _weights() -> Iterator[Finding]:
    import json

    from cryo2struct.errors import ResourceError
    from cryo2struct.networks.manifest import MANIFEST, load_entry
    from cryo2struct.settings import data_path

    try:
        folder = data_path("weights")
        names = list(json.loads((folder / MANIFEST).read_text()))
        for name in names:
            yield Finding("weights", f"{folder / load_entry(folder, name)['file']}: sha256 as in the manifest")
    except (ResourceError, OSError, ValueError) as error:
        yield Finding("weights", str(error), "pip install --force-reinstall cryo2struct", fault=True)


def _cache() -> Iterator[Finding]:
    """Whether compiled kernels can be kept; they say so themselves when they are imported."""
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            import cryo2struct.tracing  # noqa: F401
        except ImportError as error:
            yield Finding("kernels", f"cannot be imported ({error})", "install cryo2struct again", fault=True)
            return
    if caught:
        yield Finding("kernels", "cannot be kept, which costs time at every start", "set NUMBA_CACHE_DIR to a folder")
    else:
        yield Finding("kernels", "are kept once compiled")
