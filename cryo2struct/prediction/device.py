"""Which device and arithmetic the networks run with."""

from __future__ import annotations

import torch

from cryo2struct.errors import ResourceError


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


def arithmetic_type(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, else float32."""
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if native else torch.float32
