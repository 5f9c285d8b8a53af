"""One function over many tasks: in processes of this computer, or on a dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from cryo2struct.errors import Cryo2StructError, InternalError, ResourceError, as_refusal
from cryo2struct.hardware import cores

T = TypeVar("T")
R = TypeVar("R")

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
ANSWER_WITHIN = 10.0  # seconds for a scheduler to answer
LEAVE_WITHIN = 10.0  # seconds for a process to end its task after Ctrl-C


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What became of a task.

    Attributes
    ----------
    value : what the function returned; None where it failed
    error : the refusal that it ended with, or None
    """

    value: R | None
    error: Cryo2StructError | None = None


def run_tasks(
    function: Callable[[T], R],
    tasks: Sequence[T],
    *,
    workers: int = 1,
    scheduler: str | None = None,
    ended: Callable[[int, Outcome[R]], None] = lambda number, outcome: None,
) -> list[Outcome[R]]:
    """Call a function once for every task; a task that fails, or whose process dies, does not stop the others.

    A process has the cores of this computer divided by `workers`, so that all of them together use each core once.

    Parameters
    ----------
    function : can be pickled, as can its argument and its result: a function at the top of a module
    tasks : what it is called with
    workers : processes on this computer
    scheduler : address of a dask scheduler, as tcp://HOST:PORT; its workers are used instead
    ended : called with the number of a task, from 0, and its outcome as soon as it has ended, in any order

    Returns
    -------
    list of Outcome
        In the order of the tasks.

    Raises
    ------
    ResourceError
        dask.distributed is not installed, or the scheduler does not answer.
    """
    parts = _on_cluster(function, tasks, scheduler) if scheduler else _in_processes(function, tasks, workers)
    outcomes = {}
    try:
        for number, outcome in parts:
            outcomes[number] = outcome
            ended(number, outcome)
    finally:
        parts.close()
    return [outcomes[number] for number in range(len(tasks))]


def _outcome(function: Callable[[T], R], task: T) -> Outcome[R]:
    try:
        return Outcome(function(task))
    except Exception as error:
        return Outcome(None, as_refusal(error))


# In processes. Each has a pipe of its own: when one dies, it is known which task it had, and the others go on; a
# process pool of the standard library gives up all its tasks then.


@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    pipe: Connection[Any, Any]


def _in_processes(
    function: Callable[[T], R], tasks: Sequence[T], workers: int
) -> Generator[tuple[int, Outcome[R]], None, None]:
    """Number and outcome of each task as it ends."""
    todo = list(enumerate(tasks))[::-1]
    started: list[_Worker] = []
    busy: dict[Any, tuple[_Worker, int]] = {}

    def give(worker: _Worker) -> None:
        if not todo:
            worker.pipe.close()
            return
        number, task = todo.pop()
        busy[worker.pipe] = worker, number
        with suppress(BrokenPipeError, ConnectionResetError):  # it died: seen when its answer is read
            worker.pipe.send(task)

    def start() -> _Worker:
        started.append(_start(function, count))
        return started[-1]

    count = min(workers, len(tasks))
    try:
        for _ in range(count):
            give(start())
        while busy:
            for pipe in wait(list(busy)):
                worker, number = busy.pop(pipe)
                try:
                    outcome = worker.pipe.recv()
                except (EOFError, OSError):
                    outcome = Outcome(None, _lost(worker))
                    worker = start() if todo else worker
                give(worker)
                yield number, outcome
    except BaseException:  # Ctrl-C, or whoever takes the outcomes failed
        for worker in started:
            worker.process.terminate()
        raise
    finally:
        for worker in started:
            worker.process.join(LEAVE_WITHIN)
            worker.process.kill()
            worker.process.join()


def _start(function: Callable[[Any], Any], count: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(function, there, _threads(count)), daemon=True)
    # Ctrl-C reaches all processes of a terminal; ignored from the first moment on, it is left to this one to end them.
    in_main = threading.current_thread() is threading.main_thread()
    former = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
    try:
        process.start()
    finally:
        if in_main:
            signal.signal(signal.SIGINT, former)
    there.close()
    return _Worker(process, here)


def _threads(count: int) -> str:
    """Threads of each of `count` processes; no more than OMP_NUM_THREADS says already."""
    share, told = max(1, cores() // count), os.environ.get("OMP_NUM_THREADS", "")
    return str(min(share, int(told)) if told.isdigit() and int(told) > 0 else share)


def _work(function: Callable[[Any], Any], pipe: Connection[Any, Any], threads: str) -> None:
    """Life of a process: tasks in, outcomes out, until the pipe is closed."""
    os.environ.update(dict.fromkeys(THREADS, threads))  # before torch and numba are loaded
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            outcome = _outcome(function, pipe.recv())
            try:
                pipe.send(outcome)
            except (TypeError, AttributeError, ValueError) as fault:
                pipe.send(Outcome(None, InternalError(f"internal fault: the result cannot be sent ({fault})")))


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)  # files that are half written are removed on the way out


def _lost(worker: _Worker) -> ResourceError:
    worker.process.join()
    code = worker.process.exitcode or 0
    if code < 0:
        return ResourceError(f"its process was ended by signal {-code}; perhaps memory ran out: use fewer --workers")
    return ResourceError(f"its process ended with exit code {code}; what it said stands above")


def _on_cluster(
    function: Callable[[T], R], tasks: Sequence[T], scheduler: str
) -> Generator[tuple[int, Outcome[R]], None, None]:
    """Number and outcome of each task as it ends."""
    try:
        from distributed import Client, as_completed
    except ModuleNotFoundError as error:
        raise ResourceError("dask.distributed is not installed: pip install 'cryo2struct[cluster]'") from error
    try:
        client = Client(scheduler, timeout=ANSWER_WITHIN)
    except (OSError, ValueError) as fault:
        raise ResourceError(f"--scheduler {scheduler}: no answer ({fault}); give it as tcp://HOST:PORT") from fault
    with client:
        numbers = {client.submit(_outcome, function, task, pure=False): n for n, task in enumerate(tasks)}
        try:
            for future in as_completed(list(numbers)):
                try:
                    outcome = future.result()
                except Exception as fault:  # its worker died, or has another installation
                    outcome = Outcome(None, ResourceError(f"cluster: {fault!r}: see the log of the dask workers"))
                yield numbers[future], outcome
        finally:
            client.cancel(list(numbers))
