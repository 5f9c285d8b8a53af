"""Many tasks over processes: order, failures, dead processes, Ctrl-C; the same over a dask cluster."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cryo2struct.errors import InputError, InternalError, ResourceError
from cryo2struct.parallel import run_tasks

ROOT = Path(__file__).parents[1]


def square(number):
    return number**2


def wait_for_the_next(path):
    """The first task ends when it is told that the second one has."""
    if path.name == "0":
        until = time.monotonic() + 30
        while not path.with_name("told").exists() and time.monotonic() < until:
            time.sleep(0.05)
    path.touch()
    return path.name


def fail_at_times(number):
    if number == 1:
        raise InputError("one.mrc: is refused")
    if number == 2:
        raise ValueError("a fault")
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 4:
        return lambda: "cannot be sent"
    if number == 5:
        os._exit(3)
    return number


def environment(name):
    return os.environ.get(name)


@pytest.mark.parametrize("workers", [1, 3])
def test_results_are_in_order(workers):
    seen = []
    outcomes = run_tasks(square, range(5), workers=workers, ended=lambda number, outcome: seen.append(number))
    assert [outcome.value for outcome in outcomes] == [0, 1, 4, 9, 16]
    assert sorted(seen) == list(range(5))


def test_results_come_as_they_are_there(tmp_path):
    seen = []
    tasks = [tmp_path / name for name in "01"]

    def ended(number, outcome):
        seen.append(number)
        (tmp_path / "told").touch()

    outcomes = run_tasks(wait_for_the_next, tasks, workers=2, ended=ended)
    assert seen == [1, 0]
    assert [outcome.value for outcome in outcomes] == ["0", "1"]


def test_no_tasks():
    assert run_tasks(square, []) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_task_stops_no_other(workers, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    outcomes = run_tasks(fail_at_times, range(8), workers=workers)
    assert [outcome.value for outcome in outcomes] == [0, None, None, None, None, None, 6, 7]
    errors = [outcome.error for outcome in outcomes[1:6]]
    assert [type(error) for error in errors] == [InputError, InternalError, ResourceError, InternalError, ResourceError]
    assert str(errors[0]) == "one.mrc: is refused"
    (log,) = tmp_path.glob("cryo2struct-fault-*.log")
    assert str(log) in str(errors[1])
    assert "in fail_at_times" in log.read_text()
    assert "signal 9" in str(errors[2])
    assert "--workers" in str(errors[2])
    assert "exit code 3" in str(errors[4])
    assert all("\n" not in str(error) for error in errors)


def test_cores_are_shared(monkeypatch):
    monkeypatch.setattr("cryo2struct.parallel.cores", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    names = ["OMP_NUM_THREADS", "NUMBA_NUM_THREADS"]
    assert [outcome.value for outcome in run_tasks(environment, names, workers=2)] == ["3", "3"]
    assert [outcome.value for outcome in run_tasks(environment, names, workers=9)] == ["3", "3"]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert run_tasks(environment, names[:1])[0].value == "2"


INTERRUPTED = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
sys.path.insert(0, {root!r})
from cryo2struct.parallel import run_tasks

def write(name):
    Path(name).write_text(str(os.getpid()))
    try:
        time.sleep(60)
    finally:
        os.remove(name)

if __name__ == "__main__":
    run_tasks(write, ["a", "b", "c"], workers=2)
"""


@pytest.mark.parametrize("whole_group", [False, True])
def test_an_interrupt_ends_all_processes(tmp_path, whole_group):
    """Ctrl-C of a terminal goes to all processes at once, a signal to the first alone; unfinished files are removed."""
    (tmp_path / "script.py").write_text(INTERRUPTED.format(root=str(ROOT)))
    command = [sys.executable, "script.py"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        files = [tmp_path / "a", tmp_path / "b"]
        until = time.monotonic() + 30
        while not all(file.exists() and file.read_text() for file in files) and time.monotonic() < until:
            time.sleep(0.05)
        numbers = [int(file.read_text()) for file in files]
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
        said = process.communicate(timeout=20)[1]
        assert process.returncode == -signal.SIGINT
    assert said.count("Traceback") == 1  # of the script, which does not catch the interrupt
    assert {path.name for path in tmp_path.iterdir()} == {"script.py"}
    for number in numbers:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


def test_dask_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ResourceError, match=r"pip install 'cryo2struct\[cluster\]'") as refusal:
        run_tasks(square, [1], scheduler="tcp://127.0.0.1:9")
    assert refusal.value.exit_code == 6


@pytest.fixture
def scheduler(tmp_path, monkeypatch):
    """Address of a dask cluster of two processes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_on_a_cluster_as_in_processes(scheduler):
    seen = []
    outcomes = run_tasks(square, range(5), scheduler=scheduler, ended=lambda number, outcome: seen.append(number))
    assert [outcome.value for outcome in outcomes] == [0, 1, 4, 9, 16]
    assert sorted(seen) == list(range(5))
    outcomes = run_tasks(fail_at_times, range(4), scheduler=scheduler)
    assert [outcome.value for outcome in outcomes] == [0, None, None, None]
    kinds = [type(outcome.error) for outcome in outcomes[1:]]
    assert kinds == [InputError, InternalError, ResourceError]
    assert str(outcomes[1].error) == "one.mrc: is refused"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_no_scheduler_answers():
    pytest.importorskip("distributed")
    with pytest.raises(ResourceError, match=r"--scheduler tcp://127\.0\.0\.1:9: no answer"):
        run_tasks(square, [1], scheduler="tcp://127.0.0.1:9")
    with pytest.raises(ResourceError, match="--scheduler nonsense://x: no answer"):
        run_tasks(square, [1], scheduler="nonsense://x")
