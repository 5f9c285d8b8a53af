"""Which device and arithmetic the networks run with."""

from __future__ import annotations

import functools
import math
import time

import torch

from cryo2struct.errors import ResourceError

CLEARLY_FASTER = 1.3
"""Times as fast as float32 that bfloat16 must be to be chosen."""

ROUNDS = 3
"""Measurements of each kind of arithmetic; the fastest counts, so that the first, which warms up, does not."""


def choose_device(name: str, threads: int | None = None) -> torch.device:
    """The device called "auto", "cpu", "cuda" or "cuda:N"; `threads` of the CPU are used, all cores when None.

    Raises
    ------
    ResourceError
        No such device can be used.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ResourceError(f"--device {name}: not known: use auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ResourceError(f"--device {name}: not supported: use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ResourceError(
            f"--device {name}: this PyTorch sees {torch.cuda.device_count()} CUDA devices: use --device cpu"
        )
    return device


def describe_device(device: torch.device) -> str:
    """One phrase for the log, e.g. "cpu, 8 threads, bfloat16"."""
    arithmetic = str(arithmetic_type(device)).removeprefix("torch.")
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {arithmetic}"
    return f"cpu, {torch.get_num_threads()} threads, {arithmetic}"


def describe_torch() -> tuple[str, str | None]:
    """Version of PyTorch, and of the CUDA that it was built for; None for a build without."""
    return torch.__version__, torch.version.cuda


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        sign in str(error) for sign in ("not enough memory", "can't allocate memory", "out of memory")
    )


@functools.cache
def arithmetic_type(device: torch.device) -> torch.dtype:
    """bfloat16 where it makes the networks clearly faster, measured once per process, else float32.

    Only hardware that multiplies bfloat16 natively is measured. There it is mostly 2 to 3 times faster, so that the
    choice is the same in every run, however busy the machine is.
    """
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if native and bfloat16_speed(device) > CLEARLY_FASTER else torch.float32


def bfloat16_speed(device: torch.device) -> float:
    """How many times as fast bfloat16 is as float32 in a convolution of the voxel network, on a small tile.

    On a CPU one thread is measured by its own processor time, which other programs hardly change, and so the
    answer does not depend on the number of threads either.
    """
    kernel = torch.ones(48, 48, 3, 3, 3, device=device).to(memory_format=torch.channels_last_3d)
    tile = torch.ones(1, 48, 12, 12, 12, device=device).to(memory_format=torch.channels_last_3d)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    best = {torch.float32: math.inf, torch.bfloat16: math.inf}
    try:
        with torch.inference_mode():
            for _ in range(ROUNDS):
                for kind in best:
                    best[kind] = min(best[kind], _seconds(kernel, tile, kind))
    finally:
        torch.set_num_threads(threads)
    return best[torch.float32] / best[torch.bfloat16]


def _seconds(kernel: torch.Tensor, tile: torch.Tensor, kind: torch.dtype) -> float:
    on_gpu = tile.device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.thread_time
    if on_gpu:
        torch.cuda.synchronize(tile.device)
    start = clock()
    with torch.autocast(tile.device.type, dtype=kind, enabled=kind != torch.float32):
        torch.nn.functional.conv3d(tile, kernel, padding=1)
    if on_gpu:
        torch.cuda.synchronize(tile.device)
    return clock() - start
