import numpy as np
import pytest

from cryo2struct.objects import Candidates
from cryo2struct.settings import load_settings
from cryo2struct.tracing.readings import both_ways
from cryo2struct.tracing.tracer import make_decoder

SETTINGS = load_settings().tracing


def score_of(xyz, order, settings):
    candidates = Candidates(xyz, np.full(len(xyz), 0.9), np.full((len(xyz), 20), 0.05))
    decoder = make_decoder(both_ways(candidates, settings), settings)
    return decoder.score(np.zeros(len(order), int), np.array(order), np.zeros((1, len(xyz))))


def spiral(length, radius, rise, degrees):
    angle = np.radians(degrees) * np.arange(length)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), rise * np.arange(length)], axis=1)


@pytest.mark.parametrize("settings", [SETTINGS, SETTINGS.model_copy(update=dict(SETTINGS.poor))])
def test_an_alpha_helix_scores_higher_than_its_mirror_image(settings):
    helix, order = spiral(12, 2.3, 1.5, 100), range(12)
    right, left = (score_of(helix * sign, order, settings) for sign in ([1, 1, 1], [1, 1, -1]))
    assert right > left
    # the other way along the same helix is as right-handed
    assert score_of(helix, order[::-1], settings) == pytest.approx(right)
    without = settings.model_copy(update={"twist_weight": 0.0})
    assert score_of(helix, order, without) == pytest.approx(score_of(helix * [1, 1, -1], order, without))
    assert right > score_of(helix, order, without)


def test_a_strand_gains_by_its_turns():
    strand = spiral(8, 0.9, 3.35, -170)
    without = SETTINGS.model_copy(update={"twist_weight": 0.0})
    assert score_of(strand, range(8), SETTINGS) > score_of(strand, range(8), without)


def test_two_residues_of_a_helix_in_the_wrong_order_cost():
    helix = spiral(12, 2.3, 1.5, 100)
    wrong = [0, 1, 2, 3, 6, 5, 4, 7, 8, 9, 10, 11]
    without = SETTINGS.model_copy(update={"twist_weight": 0.0})
    lost, lost_without = (score_of(helix, range(12), s) - score_of(helix, wrong, s) for s in (SETTINGS, without))
    assert lost > lost_without + 1
