"""The scores of the embedded model are moved to where default thresholds expect them, without another order."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from scripts.embedded.calibrate import BEST_F1_SCORE, calibrate
from streamdet.evaluate.det import ClassScores, DetectionScores
from streamdet.models.weights import Network, load_model

NAN = math.nan
UNKNOWN = ClassScores(0, NAN, NAN, NAN, NAN, NAN, NAN, np.zeros(101))


def scores(**thresholds: float) -> DetectionScores:
    """Return scores of 100 objects of each named class, with its best F1 at the threshold."""
    known = {name: replace(UNKNOWN, truths=100, threshold=each) for name, each in thresholds.items()}
    return DetectionScores(0.5, 0.5, 0.5, {}, known)


def detected(network: Network) -> torch.Tensor:
    """Return the scores (A, C) of all cells of an image of noise."""
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = network(image)
    assert isinstance(found, torch.Tensor)
    return found[0, 4:].T


@pytest.mark.parametrize("threshold", [0.05, BEST_F1_SCORE, 0.8])
def test_the_best_threshold_becomes_the_usual_one(tiny_weights: str, threshold: float) -> None:
    network = load_model(tiny_weights).module
    name, *others = network.spec.class_names
    before = detected(network)
    offsets = calibrate(network, scores(**{name: threshold}))
    after = detected(network)
    # What scored the threshold scores BEST_F1_SCORE now: the odds of every score change by the same factor.
    factor = BEST_F1_SCORE / (1 - BEST_F1_SCORE) / (threshold / (1 - threshold))
    torch.testing.assert_close(after / (1 - after), factor * before / (1 - before), rtol=1e-3, atol=1e-6)
    # Classes without a measurement move as the others do.
    assert offsets == pytest.approx(dict.fromkeys((name, *others), math.log(factor)))


def test_classes_move_apart(tiny_weights: str) -> None:
    network = load_model(tiny_weights).module
    first, second = network.spec.class_names[:2]
    offsets = calibrate(network, scores(**{first: 0.1, second: 0.5}))
    assert offsets[first] > 0 > offsets[second]
