"""The signs that RELION reads and writes in the folder of a job."""

import json
from contextlib import nullcontext

import numpy as np
import pytest
from test_commands import FASTA, MAP, refused, run

from cryo2struct.cli.relion import JobControl
from cryo2struct.errors import AbortedError, InputError, OutputError
from cryo2struct.io.maps import write_map
from cryo2struct.objects import DensityMap, GridFrame


def signs(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("error", "sign"),
    [
        (None, "RELION_JOB_EXIT_SUCCESS"),
        (InputError("x"), "RELION_JOB_EXIT_FAILURE"),
        (SystemExit(2), "RELION_JOB_EXIT_FAILURE"),
        (KeyboardInterrupt(), "RELION_JOB_EXIT_ABORTED"),
    ],
)
def test_one_sign_is_left(tmp_path, error, sign):
    (tmp_path / "RELION_JOB_EXIT_SUCCESS").touch()
    (tmp_path / "job.star").touch()
    expected = nullcontext() if error is None else pytest.raises(type(error))
    with expected, JobControl(tmp_path):
        assert signs(tmp_path) == {"job.star"}
        if error is not None:
            raise error
    assert signs(tmp_path) == {"job.star", sign}


def test_abort_is_seen_at_the_next_call(tmp_path):
    calls = []

    def job():
        with JobControl(tmp_path) as control:
            step = control.polled(calls.append)
            step(1)
            (tmp_path / "RELION_JOB_ABORT_NOW").touch()
            step(2)

    with pytest.raises(AbortedError):
        job()
    assert calls == [1]
    assert signs(tmp_path) == {"RELION_JOB_EXIT_ABORTED"}


def test_without_relion_nothing_happens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with JobControl(None) as control:
        control.polled(print)("x")
    assert not signs(tmp_path)
    with pytest.raises(OutputError, match="no such folder"), JobControl(tmp_path / "none"):
        pass


@pytest.fixture
def job(tmp_path):
    folder = tmp_path / "job012"
    folder.mkdir()
    return folder


def build(job, map_file, *more):
    arguments = ["--resolution", "2.6", "-o", job / "model", "--pipeline_control", f"{job}/", *more]
    return run("build", map_file, FASTA, *arguments, cwd=job.parent)


def test_a_build_is_aborted(job):
    (job / "RELION_JOB_ABORT_NOW").touch()
    assert "RELION_JOB_ABORT_NOW" in refused(build(job, MAP), 130)
    assert signs(job) == {"RELION_JOB_EXIT_ABORTED"}


def test_without_candidates_the_histogram_is_kept(job):
    values = np.random.default_rng(0).normal(size=(24, 24, 24)).astype(np.float32)
    write_map(job / "small.mrc", DensityMap(values, GridFrame(values.shape, np.ones(3), np.zeros(3))))
    done = build(job, job / "small.mrc", "--set", "picking.threshold=1", "--set", "prediction.tile=32")
    assert "no C-alpha" in refused(done, 5)
    assert signs(job) == {"RELION_JOB_EXIT_FAILURE", "model", "small.mrc"}
    assert signs(job / "model") == {"run.json"}
    record = json.loads((job / "model" / "run.json").read_text())
    histogram = record["counts"]["ca_probability_histogram"]
    assert len(histogram["edges"]) == len(histogram["voxels"]) + 1
    assert sum(histogram["voxels"]) == record["counts"]["voxels_predicted"]
    assert record["counts"]["device"].startswith("cpu, ")
    assert record["files"] == ["run.json"]


@pytest.mark.slow
def test_a_build_succeeds_after_one_that_failed(job):
    assert build(job, MAP, "--set", "picking.threshold=1").returncode == 5
    done = build(job, MAP, "--force")
    assert done.returncode == 0, done.stderr
    assert signs(job) == {"RELION_JOB_EXIT_SUCCESS", "model"}
    assert "model.cif" in signs(job / "model")
