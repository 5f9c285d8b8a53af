"""The processes of one training, as torchrun starts them: who takes which batch, and how all of them stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from cryo2struct.errors import ResourceError
from cryo2struct.prediction.device import choose_device

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STOPPING = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Place:
    """Where this process stands among those of the training; one process when torchrun did not start it.

    Attributes
    ----------
    rank, count : this process and the number of processes, on all machines
    local_count : number of processes on this machine
    """

    rank: int
    count: int
    local_count: int

    @classmethod
    def here(cls) -> Place:
        """As torchrun's environment variables say."""
        names = ("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_WORLD_SIZE", 1)
        return cls(*(int(os.environ.get(name, alone)) for name, alone in names))

    @property
    def first(self) -> bool:
        """Whether this process writes the files of the run."""
        return self.rank == 0


def start_fabric(device: str, place: Place) -> Fabric:
    """Lightning Fabric with as many processes as torchrun started, each on a GPU of its own or on the CPU.

    Raises
    ------
    ResourceError
        The device cannot be used, or there are fewer GPUs than processes.
    """
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError as error:
        raise ResourceError("lightning-fabric is not installed: pip install 'cryo2struct[train]'") from error
    kind = choose_device(device).type
    if kind == "cuda" and place.local_count > torch.cuda.device_count():
        raise ResourceError(
            f"--device {device}: {place.local_count} processes but {torch.cuda.device_count()} CUDA devices on this "
            f"machine: use torchrun --nproc-per-node {torch.cuda.device_count()}, or --device cpu"
        )
    fabric = Fabric(
        accelerator=kind,
        devices=place.local_count,
        num_nodes=place.count // place.local_count,
        strategy="ddp" if place.count > 1 else "auto",
        precision="bf16-mixed",
    )
    fabric.launch()
    return fabric


class TimedStream(IterableDataset[tuple[Any, Tensor | None, float]]):
    """What a stream yields, with the seconds that it took to make it."""

    def __init__(self, stream: IterableDataset[tuple[Any, Tensor | None]]) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[tuple[Any, Tensor | None, float]]:
        start = time.perf_counter()
        for batch, density in self.stream:
            yield batch, density, time.perf_counter() - start
            start = time.perf_counter()


def load_batches(stream: IterableDataset[Any], workers: int) -> DataLoader[tuple[Any, Tensor | None, float]]:
    """Batches made by worker processes, or by this one when `workers` is 0."""
    return DataLoader(TimedStream(stream), batch_size=None, num_workers=workers, worker_init_fn=_leave_stopping)


def _leave_stopping(worker: int) -> None:
    """Ctrl-C and torchrun's SIGTERM reach workers as well; it is the training that ends them, through their queue."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


class Interruption:
    """Ctrl-C and SIGTERM are remembered in `asked` instead of stopping the training in the middle of a step."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Interruption:
        self._before = [signal.signal(number, self._remember) for number in STOPPING]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(STOPPING, self._before, strict=True):
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def any_process(fabric: Fabric, here: bool) -> bool:
    """Whether `here` is true in any process; every process gets the same answer."""
    if fabric.world_size == 1:
        return here
    told = fabric.all_reduce(torch.tensor(float(here), device=fabric.device), reduce_op="sum")
    assert isinstance(told, Tensor)
    return bool(told > 0)


def mean_of_processes(fabric: Fabric, values: dict[str, float]) -> dict[str, float]:
    """Each value's mean over the processes."""
    if fabric.world_size == 1:
        return values
    told = fabric.all_reduce(torch.tensor(list(values.values()), device=fabric.device), reduce_op="mean")
    assert isinstance(told, Tensor)
    return dict(zip(values, told.tolist(), strict=True))


def is_lost_process(error: BaseException) -> bool:
    """Whether an exception says that the connection to another process broke off."""
    if not torch.distributed.is_initialized():
        return False
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error).lower()


def is_lost_worker(error: BaseException) -> bool:
    """Whether an exception says that a process which makes batches was ended from outside."""
    return str(error).startswith("DataLoader worker (pid")


def leave(place: Place) -> None:
    """Close the connections between the processes."""
    if place.count > 1 and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
