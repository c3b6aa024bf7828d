import math
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamdet.train.class_loss import CLASS_LOSSES, bce, focal, quality_focal, varifocal
from streamdet.train.config import ClassLoss


def logit(p: float) -> torch.Tensor:
    return torch.tensor(math.log(p / (1 - p)), dtype=torch.float64)


def wanted(y: float) -> torch.Tensor:
    return torch.tensor(y, dtype=torch.float64)


def test_every_name_has_a_loss() -> None:
    assert set(CLASS_LOSSES) == set(get_args(ClassLoss))


def test_bce_by_hand() -> None:
    # -(0.75 ln 0.8 + 0.25 ln 0.2)
    assert bce(logit(0.8), wanted(0.75)).item() == pytest.approx(0.569717, abs=1e-6)


def test_focal_by_hand() -> None:
    # -0.25 (1 - 0.8)^2 ln 0.8 = 0.25 * 0.04 * 0.223144
    assert focal(logit(0.8), wanted(1)).item() == pytest.approx(0.00223144, abs=1e-8)
    # -0.75 * 0.8^2 ln 0.2 = 0.75 * 0.64 * 1.609438
    assert focal(logit(0.8), wanted(0)).item() == pytest.approx(0.772530, abs=1e-6)
    # A quarter of the first and three quarters of the second.
    assert focal(logit(0.8), wanted(0.25)).item() == pytest.approx(0.579955, abs=1e-6)


def test_varifocal_by_hand() -> None:
    # 0.6 times -(0.6 ln 0.8 + 0.4 ln 0.2) = 0.6 * 0.777662
    assert varifocal(logit(0.8), wanted(0.6)).item() == pytest.approx(0.466597, abs=1e-6)
    # Nothing is wanted: -0.75 * 0.8^2 ln 0.2, as above.
    assert varifocal(logit(0.8), wanted(0)).item() == pytest.approx(0.772530, abs=1e-6)


def test_quality_focal_by_hand() -> None:
    # (0.6 - 0.8)^2 times the same cross entropy = 0.04 * 0.777662
    assert quality_focal(logit(0.8), wanted(0.6)).item() == pytest.approx(0.0311065, abs=1e-7)
    assert quality_focal(logit(0.6), wanted(0.6)).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", CLASS_LOSSES)
@given(st.floats(-200, 200), st.sampled_from([0.0, 1e-6, 0.5, 1.0]))
def test_losses_and_gradients_are_finite_at_any_logit(name: ClassLoss, x: float, y: float) -> None:
    x_ = torch.tensor(x, requires_grad=True)
    loss = CLASS_LOSSES[name](x_, torch.tensor(y))
    (gradient,) = torch.autograd.grad(loss, x_)
    assert loss.isfinite() and loss >= 0
    assert gradient.isfinite()


@pytest.mark.parametrize("name", CLASS_LOSSES)
@given(st.floats(-6, 6))
def test_each_loss_pulls_a_score_to_its_label(name: ClassLoss, x: float) -> None:
    for label, sign in ((1.0, -1), (0.0, 1)):
        x_ = torch.tensor(x, requires_grad=True)
        (gradient,) = torch.autograd.grad(CLASS_LOSSES[name](x_, torch.tensor(label)), x_)
        assert gradient * sign > 0
