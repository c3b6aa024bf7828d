"""Body poses: standing, walking, sitting and riding, by two-bone inverse kinematics.

Places are (forward, left, up) in m for a person 1.75 m tall, standing on the ground at the origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamdet.types import Float64Array

HEIGHT_M = 1.75
_THIGH, _SHIN, _UPPER_ARM, _FOREARM = 0.43, 0.42, 0.29, 0.25
_ANKLE = 0.08
_LEFT_RIGHT = np.array([1.0, -1.0])
# The share of a step during which a foot is on the ground (Perry, Gait Analysis, 1992: 62 %).
_STANCE = 0.6
JOINTS = 17  # of COCO
# Nose, eyes and ears, from the middle of the head.
_FACE = np.array([(0.1, 0.0, 0.0), (0.085, 0.032, 0.03), (0.085, -0.032, 0.03), (0.0, 0.082, 0.0), (0.0, -0.082, 0.0)])


@dataclass(frozen=True, slots=True)
class Pose:
    """The joints of a body in m: `pelvis`, `chest` and `head` (3,); of the limbs (2, 3), left before right."""

    pelvis: Float64Array
    chest: Float64Array
    head: Float64Array
    hips: Float64Array
    knees: Float64Array
    ankles: Float64Array
    toes: Float64Array
    shoulders: Float64Array
    elbows: Float64Array
    hands: Float64Array

    def joints(self) -> Float64Array:
        """Return the key points (17, 3) of COCO in m: nose, eyes, ears, shoulders, ..., ankles, left before right."""
        limbs = self.shoulders, self.elbows, self.hands, self.hips, self.knees, self.ankles
        return np.concatenate([self.head + _FACE, *limbs])

    def outward(self) -> Float64Array:
        """Return the direction (17, 3) that each of `joints` is seen from, zero for those of limbs: from any."""
        return np.concatenate([_FACE, np.zeros((JOINTS - len(_FACE), 3))])


def stand(arms: str, lean: float = 0.0) -> Pose:
    """Return a standing pose with `arms` "down", "phone" (one hand before the chest), "pockets" or "folded".

    `lean` from -1 to 1 shifts the weight, up to 5 cm.
    """
    ankles = _pair(0.0, 0.11, _ANKLE)
    ankles[0, 0] += 0.05
    pelvis = np.array([lean * 0.03, lean * 0.04, 0.91])
    return _pose(pelvis, lean * 0.05, ankles, _chest(pelvis, lean * 0.05) + _hands(arms, np.zeros(2)))


def walk(phase: float, stride_m: float, arms: str, bounce: float = 0.022) -> Pose:
    """Return the pose at `phase` (0 to 1) of a cycle of two steps, `stride_m` long together."""
    cycle = (phase + np.array([0.0, 0.5])) % 1.0
    swing = ((cycle - _STANCE) / (1 - _STANCE)).clip(0, 1)
    stance = (cycle / _STANCE).clip(0, 1)
    reach = 0.26 * stride_m
    # Back at the body's speed while the foot stands, forward with a soft start and end while it swings.
    forward = np.where(cycle < _STANCE, reach * (1 - 2 * stance), -reach * np.cos(np.pi * swing))
    heel_off = 0.09 * ((stance - 0.6) / 0.4).clip(0, 1) * (1 - swing)
    up = _ANKLE + 0.1 * stride_m / 1.4 * np.sin(np.pi * swing**0.7) ** 1.5 + heel_off
    ankles = np.column_stack([forward, 0.08 * _LEFT_RIGHT, up])
    # An arm swings with the other leg; both steps lift the body once each.
    arm_swing = -0.15 * stride_m * np.cos(2 * np.pi * cycle)
    height = 0.895 + bounce * np.cos(4 * np.pi * (phase - 0.3))
    lean = 0.03 + 0.06 * max(stride_m - 1.5, 0)
    pelvis = np.array([0.0, 0.0, height])
    return _pose(pelvis, lean, ankles, _chest(pelvis, lean) + _hands(arms, arm_swing))


def sit(seat_m: float) -> Pose:
    """Return a sitting pose on a seat `seat_m` high, hands on the thighs."""
    hands = _pair(0.3, 0.13, seat_m + 0.2)
    return _pose(np.array([0.0, 0.0, seat_m + 0.1]), -0.03, _pair(0.45, 0.12, _ANKLE), hands)


def ride(saddle_m: float, grip: tuple[float, float, float], pedal: tuple[float, float], turn: float) -> Pose:
    """Return a rider's pose on a saddle `saddle_m` high at the origin.

    Hands hold `grip` (forward, left, up); feet stand on pedals that turn by `turn` rad on cranks of 0.17 m around
    `pedal` (forward, up), or rest there when `turn` is NaN.
    """
    angles = turn + np.array([0.0, np.pi])
    crank = np.zeros((2, 2)) if np.isnan(turn) else 0.17 * np.column_stack([np.cos(angles), -np.sin(angles)])
    ankles = np.column_stack([pedal[0] + crank[:, 0] - 0.06, 0.12 * _LEFT_RIGHT, pedal[1] + crank[:, 1] + _ANKLE])
    hands = np.column_stack([np.full(2, grip[0]), grip[1] * _LEFT_RIGHT, np.full(2, grip[2])])
    return _pose(np.array([0.0, 0.0, saddle_m + 0.08]), 0.35 * max(grip[0] - 0.25, 0), ankles, hands)


def _pose(pelvis: Float64Array, lean: float, ankles: Float64Array, hands: Float64Array) -> Pose:
    """Return a pose that leans `lean` m forward, with feet and hands as close to their targets as the limbs reach."""
    chest = _chest(pelvis, lean)
    head = chest + np.array([0.03 + 0.4 * lean, 0.0, 0.205])
    hips = pelvis + _pair(0.0, 0.085, 0.0)
    shoulders = chest + _pair(0.0, 0.165, -0.02)
    knees, ankles = _two_bones(hips, ankles, _THIGH, _SHIN, np.array([[1.0, 0.1, 0.1], [1.0, -0.1, 0.1]]))
    elbows, hands = _two_bones(
        shoulders, hands, _UPPER_ARM, _FOREARM, np.array([[-1.0, 0.4, -0.3], [-1.0, -0.4, -0.3]])
    )
    toes = ankles + np.array([0.17, 0.0, -0.045])
    toes[:, 2] = np.minimum(toes[:, 2], ankles[:, 2] - 0.2 * (ankles[:, 2] - _ANKLE) - 0.04)
    return Pose(pelvis, chest, head, hips, knees, ankles, toes, shoulders, elbows, hands)


def _chest(pelvis: Float64Array, lean: float) -> Float64Array:
    chest: Float64Array = pelvis + np.array([lean, 0.0, 0.49])
    return chest


def _hands(arms: str, swing: Float64Array) -> Float64Array:
    """Return the hands (2, 3) relative to the chest; hanging ones swing `swing` (2,) m forward."""
    if arms == "folded":
        return np.array([(0.22, -0.06, -0.22), (0.22, 0.06, -0.24)])
    if arms == "pockets":
        return _pair(0.08, 0.2, -0.45)
    hands = np.column_stack([0.06 + swing, 0.23 * _LEFT_RIGHT, 0.25 * np.abs(swing) - 0.5])
    if arms == "phone":
        hands[0] = (0.3, 0.08, -0.15)
    return hands


def _pair(forward: float, left: float, up: float) -> Float64Array:
    """Return a left and a right point (2, 3), `left` m to either side."""
    return np.column_stack([np.full(2, forward), left * _LEFT_RIGHT, np.full(2, up)])


def _two_bones(
    roots: Float64Array, targets: Float64Array, upper: float, lower: float, bend: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Return the middle joints and ends (N, 3) of limbs from `roots` towards `targets` that bend towards `bend`."""
    reach = targets - roots
    distance = np.linalg.norm(reach, axis=1, keepdims=True)
    unit = reach / distance
    distance = distance.clip(abs(upper - lower) + 1e-3, (upper + lower) * 0.999)
    # Law of cosines: the middle joint lies a = (u^2 - l^2 + d^2) / 2d along, sqrt(u^2 - a^2) aside.
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    aside = np.sqrt(np.maximum(upper**2 - along**2, 0))
    across = bend - (bend * unit).sum(axis=1, keepdims=True) * unit
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    middles: Float64Array = roots + along * unit + aside * across
    ends: Float64Array = roots + distance * unit
    return middles, ends
