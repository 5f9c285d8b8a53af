"""What this computer offers, told without loading torch."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass

from cryo2struct.errors import ResourceError

ANSWER_WITHIN = 3.0  # seconds; a driver that takes longer is not waited for


@dataclass(frozen=True)
class Gpu:
    """A GPU as its driver lists it; memory in GB."""

    name: str
    memory: float
    free: float


def list_gpus() -> list[Gpu]:
    """NVIDIA GPUs, by `nvidia-smi` (which asks NVML); none where there is no such program or no answer."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=ANSWER_WITHIN, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    lines = [[part.strip() for part in line.rsplit(",", 2)] for line in answer.splitlines()]
    return [
        Gpu(name, int(total) / 1024, int(free) / 1024)
        for name, total, free in (line for line in lines if len(line) == 3)
        if total.isdigit() and free.isdigit()
    ]


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def multiplies_bfloat16() -> bool:
    """Whether the CPU says that it multiplies bfloat16 in hardware (Linux, x86)."""
    try:
        with open("/proc/cpuinfo") as lines:
            return re.search(r"\b(amx_bf16|avx512_bf16)\b", lines.read()) is not None
    except OSError:
        return False


def free_memory() -> float | None:
    """Memory in GB that can still be had, where the system says so (Linux)."""
    try:
        with open("/proc/meminfo") as lines:
            found = re.search(r"MemAvailable:\s+(\d+) kB", lines.read())
    except OSError:
        return None
    return int(found[1]) / 2**20 if found else None


def gpu_for(device: str, gpus: list[Gpu]) -> Gpu | None:
    """The GPU that `--device` stands for, None for the CPU; "auto" is the first GPU if there is one.

    Raises
    ------
    ResourceError
        There is no such device.
    """
    if device == "auto":
        return gpus[0] if gpus else None
    found = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if found is None:
        raise ResourceError(f"--device {device}: not known: use auto, cpu, cuda or cuda:N")
    if device == "cpu":
        return None
    number = int(found[1] or 0)
    if number >= len(gpus):
        raise ResourceError(f"--device {device}: the driver lists {len(gpus)} NVIDIA GPUs: use --device cpu")
    return gpus[number]
