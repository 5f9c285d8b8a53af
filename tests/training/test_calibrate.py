"""The calibration finds again what the data were made with."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from cryo2struct.training.calibrate import Picked, fit_presence, fit_type_weights


@pytest.mark.parametrize("truth", [[1.5, -0.4], [0.6, 0.9, 0.3]])
def test_presence_log_odds_are_found_again(truth):
    rng = np.random.default_rng(0)
    features = [rng.normal(size=(len(truth) - 1, 20_000)) * 2 for _ in range(2)]
    right = [(rng.random(20_000) < expit(np.array(truth[:-1]) @ f + truth[-1])).astype(float) for f in features]
    np.testing.assert_allclose(fit_presence(right, features), truth, atol=0.08)


def test_sets_have_the_same_weight_whatever_their_size():
    rng = np.random.default_rng(1)
    features = [rng.normal(size=(1, count)) for count in (400, 40_000)]
    right = [(rng.random(f.shape[1]) < p).astype(float) for f, p in zip(features, (0.2, 0.8), strict=True)]
    assert abs(fit_presence(right, features)[-1]) < 0.2  # .2 and .8 of the small and of the large set: 1 : 1


def test_exponents_of_types_undo_what_was_done_to_them():
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(2, 30_000, 20))
    probability = softmax(0.8 * first + 0.4 * second, axis=1)
    types = (probability.cumsum(axis=1) > rng.random((30_000, 1))).argmax(axis=1)
    picked = Picked(np.zeros((2, 0)), np.zeros(0), np.stack([first, second]), types, 30_000)
    np.testing.assert_allclose(fit_type_weights([picked]), [0.8, 0.4], atol=0.05)
