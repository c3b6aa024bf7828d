"""A body: a pose, dressed, as round limbs."""

from __future__ import annotations

import numpy as np

from streamdet.scene.outfit import Outfit
from streamdet.scene.pose import Pose
from streamdet.scene.tubes import Tubes
from streamdet.types import Float64Array

_LEGS, _TORSO, _ARMS, _HEAD, _BAG = (0, 1), 2, (3, 4), 5, 6


def dress(pose: Pose, outfit: Outfit) -> Tubes:
    """Return the body of someone as tall as `pose`, (forward, left, up) in m of where it stands."""
    body = Tubes()
    _legs(body, pose, outfit)
    _torso(body, pose, outfit)
    _arms(body, pose, outfit)
    _head(body, pose, outfit)
    _bag(body, pose, outfit)
    return body


def _legs(body: Tubes, pose: Pose, outfit: Outfit) -> None:
    girth = outfit.girth
    calf = outfit.bottom if outfit.legs == "trousers" else outfit.skin
    thigh = outfit.skin if outfit.legs == "skirt" else outfit.bottom
    for side, part in enumerate(_LEGS):
        hip, knee, ankle, toe = pose.hips[side], pose.knees[side], pose.ankles[side], pose.toes[side]
        heel = ankle - np.array([0.04, 0.0, 0.03])
        wide = 0.058 if outfit.legs == "trousers" else 0.042
        body.add(part, outfit.shoes, heel, toe, 0.047, 0.038)
        body.add(part, calf, knee, ankle, 0.064 * girth, wide * girth)
        body.add(part, thigh, hip, knee, 0.096 * girth, 0.068 * girth)


def _torso(body: Tubes, pose: Pose, outfit: Outfit) -> None:
    girth, spine = outfit.girth, pose.chest - pose.pelvis
    if outfit.legs == "skirt":
        hem = 0.6 * pose.knees.mean(axis=0) + 0.4 * pose.pelvis - np.array([0.0, 0.0, 0.12])
        body.add(_TORSO, outfit.bottom, pose.pelvis, hem, 0.14 * girth, 0.19 * girth)
    body.add(_TORSO, outfit.bottom, pose.hips[0], pose.hips[1], 0.105 * girth)
    if outfit.coat_m > 0:
        hems = pose.hips + np.array([0.0, 0.0, 0.02]) + outfit.coat_m * _unit(pose.knees - pose.hips)
        for hip, hem in zip(pose.hips, hems, strict=True):
            body.add(_TORSO, outfit.top, hip, hem, 0.122 * girth, 0.118 * girth)
    waist, chest = pose.pelvis + 0.12 * spine, pose.pelvis + 0.86 * spine
    across = (pose.shoulders[0] - pose.shoulders[1]) / 2
    for side in (0.62, -0.62, 0.0):
        shoulder = chest + side * across
        body.add(_TORSO, outfit.top, waist + 0.4 * side * across, shoulder, 0.122 * girth, 0.118 * girth)
    if outfit.chest is not outfit.top:
        for side in (0.45, -0.45):
            body.add(
                _TORSO, outfit.chest, pose.pelvis + 0.5 * spine + side * across, chest + side * across, 0.108 * girth
            )
    body.add(_TORSO, outfit.top, pose.shoulders[0], pose.shoulders[1], 0.07 * girth)
    body.add(_TORSO, outfit.skin, pose.chest, 0.5 * (pose.chest + pose.head), 0.056)


def _arms(body: Tubes, pose: Pose, outfit: Outfit) -> None:
    girth = outfit.girth
    forearm = outfit.top if outfit.long_sleeves else outfit.skin
    for side, part in enumerate(_ARMS):
        shoulder, elbow, hand = pose.shoulders[side], pose.elbows[side], pose.hands[side]
        body.add(part, outfit.skin, hand, hand + 0.25 * (hand - elbow), 0.036, 0.033)
        body.add(part, forearm, elbow, hand, 0.046 * girth, 0.038 * girth)
        body.add(part, outfit.top, shoulder, elbow, 0.062 * girth, 0.05 * girth)


def _head(body: Tubes, pose: Pose, outfit: Outfit) -> None:
    head, up, front = pose.head, np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    body.add(_HEAD, outfit.skin, head - 0.035 * up + 0.015 * front, head + 0.03 * up + 0.015 * front, 0.078, 0.084)
    covers = {"cap": outfit.top, "hood": outfit.top, "helmet": outfit.bag_colour, "bald": outfit.skin}
    cover = covers.get(outfit.head, outfit.hair)
    radius = {"helmet": 0.115, "hood": 0.115}.get(outfit.head, 0.098)
    # A part of its own: seen from behind it hides the face, from the front the face hides it.
    body.add(_HEAD + 2, cover, head + 0.015 * up - 0.03 * front, head + 0.045 * up - 0.012 * front, radius)
    if outfit.head == "long":
        body.add(_HEAD + 2, cover, head - 0.03 * front, head - 0.17 * up - 0.05 * front, 0.09, 0.075)
    elif outfit.head == "cap":
        body.add(_HEAD + 2, cover, head + 0.06 * up + 0.05 * front, head + 0.05 * up + 0.14 * front, 0.05, 0.03)


def _bag(body: Tubes, pose: Pose, outfit: Outfit) -> None:
    back, up = np.array([-0.16, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    if outfit.bag == "backpack":
        for side in (0.07, -0.07):
            low = pose.pelvis + 0.14 * up + back + np.array([0.0, side, 0.0])
            body.add(_BAG, outfit.bag_colour, low, pose.chest - 0.08 * up + back + np.array([0.0, side, 0.0]), 0.11)
    elif outfit.bag == "shoulder":
        place = pose.hips[0] + np.array([-0.03, 0.12, 0.0])
        body.add(_BAG, outfit.bag_colour, place + 0.08 * up, place - 0.06 * up, 0.09, 0.11)
        body.add(_TORSO, outfit.bag_colour, pose.shoulders[1] + 0.06 * up, place + 0.1 * up, 0.018)
    elif outfit.bag == "hand":
        place = pose.hands[1]
        body.add(_BAG, outfit.bag_colour, place - 0.16 * up, place - 0.34 * up, 0.07, 0.12)


def _unit(vectors: Float64Array) -> Float64Array:
    unit: Float64Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
