"""Reliability: bins against numpy, and which candidates are right."""

import sys

import numpy as np
import pytest

from cryo2struct.errors import ResourceError
from cryo2struct.evaluation.ca import Points
from cryo2struct.objects import Candidates
from cryo2struct.training.plot import start_figure
from cryo2struct.training.reliability import Answers, binned, draw, judge, reliability


def answers(seed, count):
    rng = np.random.default_rng(seed)
    predicted = rng.random(count) ** 2
    return Answers(predicted, rng.random(count) < predicted)


def test_bins_of_values_made_by_hand():
    found = binned(Answers(np.array([0.0, 0.05, 0.31, 0.39, 0.35, 1.0]), np.array([0, 1, 1, 1, 0, 1], dtype=bool)))
    assert [b["count"] for b in found] == [2, 0, 0, 3, 0, 0, 0, 0, 0, 1]
    assert (found[0]["predicted"], found[0]["observed"]) == pytest.approx((0.025, 0.5))
    assert (found[3]["predicted"], found[3]["observed"]) == pytest.approx((0.35, 2 / 3))
    assert (found[3]["from"], found[3]["to"]) == (0.3, 0.4)
    assert (found[9]["predicted"], found[9]["observed"]) == (1, 1)
    assert found[5]["predicted"] is found[5]["observed"] is None


def test_bins_against_numpy():
    made = answers(0, 5000)
    found = binned(made)
    counts, edges = np.histogram(made.predicted, bins=10, range=(0, 1))
    sums, _ = np.histogram(made.predicted, bins=edges, weights=made.predicted)
    right, _ = np.histogram(made.predicted, bins=edges, weights=made.right.astype(float))
    assert [b["count"] for b in found] == counts.tolist()
    np.testing.assert_allclose([b["predicted"] for b in found], sums / counts)
    np.testing.assert_allclose([b["observed"] for b in found], right / counts)


def test_maps_are_pooled_and_the_error_is_the_mean_distance():
    parts = [answers(1, 300), answers(2, 700)]
    whole = Answers(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("predicted", "right")))
    found = reliability([{"presence": part, "types": answers(3, 10)} for part in parts])
    assert found["presence"]["bins"] == binned(whole)
    number = np.minimum((whole.predicted * 10).astype(int), 9)
    bias = [(whole.predicted[number == n] - whole.right[number == n]).sum() for n in range(10)]
    assert found["presence"]["error"] == pytest.approx(np.abs(bias).sum() / 1000)
    assert reliability([])["types"]["error"] is None
    sure = {"presence": Answers(np.ones(4), np.ones(4, dtype=bool)), "types": Answers(np.ones(2), np.zeros(2, bool))}
    assert [part["error"] for part in reliability([sure]).values()] == [0, 1]


def test_right_are_the_paired_and_types_are_those_of_the_partner():
    aa = np.full((4, 20), 0.01)
    aa[np.arange(4), [3, 5, 7, 9]] = 0.81
    candidates = Candidates(np.zeros((4, 3)), np.array([0.9, 0.8, 0.7, 0.6]), aa)
    truth = Points(np.zeros((3, 3)), np.array([3, -1, 8]))
    found = judge(candidates, np.array([0, 2, 3]), np.array([[2, 2], [0, 0]]), truth)
    assert found["presence"].predicted.tolist() == [0.9, 0.7, 0.6]
    assert found["presence"].right.tolist() == [True, True, False]
    assert found["types"].predicted.tolist() == [0.81, 0.81]
    assert found["types"].right.tolist() == [False, True]
    assert len(judge(candidates, np.array([1]), np.array([[1, 1]]), truth)["types"].right) == 0
    none = judge(candidates.chosen(np.zeros(4, dtype=bool)), np.zeros(0, int), np.zeros((0, 2), int), truth)
    assert reliability([none])["presence"]["error"] is None


def test_picture(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    path = tmp_path / "curve.png"
    figure = start_figure(path, 8, 4)
    found = reliability([{"presence": answers(1, 300), "types": answers(2, 40)}])
    draw(figure, found, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    for axes, name in zip(figure.axes, found, strict=True):
        expected = [[b["predicted"], b["observed"]] for b in found[name]["bins"] if b["count"]]
        assert axes.lines[1].get_xydata().tolist() == expected
        assert [text.get_text() for text in axes.texts] == [str(b["count"]) for b in found[name]["bins"] if b["count"]]
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ResourceError, match=r"pip install 'cryo2struct\[report\]'"):
        start_figure(path, 8, 4)
