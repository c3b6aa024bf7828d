"""What people wear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamdet.scene.colour import pick
from streamdet.types import Float64Array

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
