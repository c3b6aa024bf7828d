"""Persons: a pose dressed in an outfit makes a body, on foot, on a seat or on a saddle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamdet.scene.camera import Camera
from streamdet.scene.figures import Placement, Polygon, Tubes, pick, turned
from streamdet.scene.light import Light
from streamdet.scene.pose import HEIGHT_M, Pose, ride, sit, stand, walk
from streamdet.scene.truth import PERSON
from streamdet.types import Float64Array

# A stride, two steps, grows with speed: about 1.4 m at 1.4 m/s, 1.9 m at 3 m/s.
_STRIDE_M, _STRIDE_S = 0.95, 0.32
# Parts of the body. Hair or headgear is a part of its own: from behind it hides the face, from the front the face it.
_LEGS, _TORSO, _ARMS, _HEAD, _BAG, _HEADGEAR = (0, 1), 2, (3, 4), 5, 6, 7
_SKIN = ((0.93, 0.76, 0.66), (0.87, 0.67, 0.55), (0.76, 0.55, 0.42), (0.55, 0.38, 0.28), (0.36, 0.25, 0.2))
_HAIR = (
    (0.08, 0.06, 0.05),
    (0.08, 0.06, 0.05),
    (0.22, 0.14, 0.09),
    (0.42, 0.28, 0.16),
    (0.75, 0.6, 0.38),
    (0.6, 0.6, 0.6),
)
_DARK = (
    (0.05, 0.05, 0.06),
    (0.1, 0.1, 0.12),
    (0.08, 0.09, 0.17),
    (0.17, 0.13, 0.11),
    (0.2, 0.2, 0.22),
    (0.3, 0.3, 0.3),
)
_BRIGHT = (
    (0.85, 0.85, 0.85),
    (0.7, 0.12, 0.12),
    (0.15, 0.3, 0.65),
    (0.15, 0.45, 0.25),
    (0.85, 0.75, 0.3),
    (0.8, 0.45, 0.15),
    (0.75, 0.45, 0.55),
    (0.45, 0.65, 0.8),
    (0.75, 0.68, 0.55),
    (0.5, 0.25, 0.45),
)
_TROUSERS = (
    (0.07, 0.07, 0.08),
    (0.13, 0.17, 0.28),
    (0.2, 0.27, 0.42),
    (0.33, 0.42, 0.56),
    (0.28, 0.26, 0.23),
    (0.6, 0.53, 0.42),
)
_SHOES = ((0.06, 0.05, 0.05), (0.2, 0.13, 0.09), (0.85, 0.85, 0.85), (0.5, 0.5, 0.52))
_BAGS = ((0.08, 0.08, 0.09), (0.45, 0.28, 0.16), (0.7, 0.15, 0.15), (0.2, 0.3, 0.5), (0.85, 0.83, 0.78))
_SAFETY = np.array([0.9, 0.95, 0.2])


@dataclass(frozen=True, slots=True)
class Outfit:
    """Colours (RGB, 0 to 1) and garments of one person; `girth` widens the body.

    `legs` is "trousers", "shorts" or "skirt"; `coat_m` how far a coat reaches below the hips; `head` "short", "long",
    "bald", "cap", "hood" or "helmet"; `bag` "none", "backpack", "shoulder" or "hand".
    """

    girth: float
    skin: Float64Array
    hair: Float64Array
    top: Float64Array
    chest: Float64Array
    bottom: Float64Array
    shoes: Float64Array
    bag_colour: Float64Array
    long_sleeves: bool
    legs: str
    coat_m: float
    head: str
    bag: str


def draw_outfit(rng: np.random.Generator, *, cold: bool, helmet: bool = False) -> Outfit:
    """Return clothes for `cold` or warm weather; a rider may wear a `helmet`."""
    top = pick(rng, _DARK if rng.random() < (0.6 if cold else 0.4) else _BRIGHT, 0.15)
    chest = top
    if rng.random() < 0.12:
        chest = _SAFETY if rng.random() < 0.3 else pick(rng, _BRIGHT, 0.1)
    legs = str(rng.choice(["trousers", "shorts", "skirt"], p=[0.9, 0.02, 0.08] if cold else [0.66, 0.2, 0.14]))
    head = str(rng.choice(["short", "long", "bald", "cap", "hood"], p=[0.46, 0.27, 0.05, 0.14, 0.08]))
    return Outfit(
        girth=float(np.clip(rng.normal(1.0, 0.07), 0.86, 1.25)) + (0.07 if cold else 0),
        skin=pick(rng, _SKIN, 0.05),
        hair=pick(rng, _HAIR, 0.1),
        top=top,
        chest=chest,
        bottom=pick(rng, _TROUSERS if rng.random() < 0.85 else _BRIGHT, 0.12),
        shoes=pick(rng, _SHOES, 0.1),
        bag_colour=pick(rng, _BAGS if rng.random() < 0.7 else _BRIGHT, 0.1),
        long_sleeves=bool(rng.random() < (0.95 if cold else 0.45)),
        legs=legs,
        coat_m=float(
            rng.choice([0.0, 0.1, 0.25, 0.42], p=[0.3, 0.35, 0.2, 0.15] if cold else [0.55, 0.35, 0.08, 0.02])
        ),
        head="helmet" if helmet else head,
        bag=str(rng.choice(["none", "backpack", "shoulder", "hand"], p=[0.55, 0.17, 0.14, 0.14])),
    )


def dress(pose: Pose, outfit: Outfit) -> Tubes:
    """Return the body with `pose` in `outfit`, as tall as the pose and in its coordinates."""
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
    body.add(_HEADGEAR, cover, head + 0.015 * up - 0.03 * front, head + 0.045 * up - 0.012 * front, radius)
    if outfit.head == "long":
        body.add(_HEADGEAR, cover, head - 0.03 * front, head - 0.17 * up - 0.05 * front, 0.09, 0.075)
    elif outfit.head == "cap":
        body.add(_HEADGEAR, cover, head + 0.06 * up + 0.05 * front, head + 0.05 * up + 0.14 * front, 0.05, 0.03)


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


class Person:
    """A person in one outfit and one `manner`: "foot", "sit", or on the saddle of a cycle ("pedal", "motor").

    `speed` in m/s sets the stride on foot; at 0 the person stands. `height_m` is the body height.
    """

    class_id = PERSON
    half_size = (0.25, 0.25)

    def __init__(self, rng: np.random.Generator, manner: str, *, cold: bool, speed: float = 0.0) -> None:
        self._manner, self._speed = manner, speed
        self._outfit = draw_outfit(rng, cold=cold, helmet=rng.random() < {"motor": 0.8, "pedal": 0.35}.get(manner, 0))
        child = manner == "foot" and rng.random() < 0.08
        self.height_m = float(rng.uniform(1.0, 1.45) if child else np.clip(rng.normal(1.71, 0.08), 1.5, 1.95))
        self._arms = str(rng.choice(["down", "phone", "pockets", "folded"], p=[0.72, 0.1, 0.12, 0.06]))
        self._phase = rng.random()

    def polygons(self, camera: Camera, light: Light, placement: Placement) -> list[Polygon]:
        """Return the polygons that `camera` sees at `placement`."""
        return self._body(placement).polygons(camera, light)

    def shadow(self, light: Light, placement: Placement) -> list[Float64Array]:
        """Return the shadows on the ground, outlines (N, 3) in m."""
        return self._body(placement).shadow(light)

    def contact(self, placement: Placement) -> list[Float64Array]:
        """Return the ground around the feet, outlines (N, 3) in m."""
        angles = np.linspace(0, 2 * np.pi, 10, endpoint=False)
        return [placement.origin + 0.24 * np.column_stack([np.cos(angles), np.sin(angles), np.zeros(10)])]

    def joints(
        self, placement: Placement, eye: tuple[float, float, float]
    ) -> tuple[Float64Array, npt.NDArray[np.bool_]]:
        """Return the key points (17, 3) of COCO in m, and bool (17,): whether each lies on the side of `eye`, in m."""
        pose = self._pose(placement)
        places = placement.in_world(self.height_m / HEIGHT_M * pose.joints())
        towards = np.array(eye) - places
        return places, ((pose.outward() @ turned(placement.heading)) * towards).sum(axis=1) >= 0

    def _body(self, placement: Placement) -> Tubes:
        return dress(self._pose(placement), self._outfit).placed(placement, self.height_m / HEIGHT_M)

    def _pose(self, placement: Placement) -> Pose:
        if self._manner == "sit":
            return sit(0.45)
        if self._manner == "pedal":
            # The pedals turn once every 4.5 m.
            return ride(0.92, (0.55, 0.22, 1.08), (0.2, 0.28), 2 * np.pi * placement.covered_m / 4.5)
        if self._manner == "motor":
            return ride(0.76, (0.55, 0.3, 1.02), (0.2, 0.26), np.nan)
        return self._on_foot(placement)

    def _on_foot(self, placement: Placement) -> Pose:
        if not self._speed:
            return stand(self._arms, float(np.sin(placement.time_s * 0.9 + 7 * self._phase)))
        stride = (_STRIDE_M + _STRIDE_S * self._speed) * self.height_m / HEIGHT_M
        return walk(self._phase + placement.covered_m / stride, stride, self._arms)
