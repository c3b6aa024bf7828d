"""Vehicles are as large as their models say."""

import numpy as np
import pytest

from streamdet.scene.camera import Camera
from streamdet.scene.figures import SILHOUETTE, Placement, rasterise
from streamdet.scene.hulls import MODELS, Model
from streamdet.scene.light import Light
from streamdet.scene.vehicles import Vehicle

SIZE = (320, 240)
CAMERA = Camera((0.0, 0.0, 3.0), 0.0, np.deg2rad(10), 300.0, (160.0, 120.0))
LIGHT = Light(np.ones(3), np.zeros(3), np.array([0.0, 0.0, 1.0]), 0.0, False)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.class_id}-{2 * model.half_length:g}m")
@pytest.mark.parametrize("heading", [0.0, np.pi / 2, 2.5])
def test_a_vehicle_fills_the_box_of_its_corners(model: Model, heading: float) -> None:
    """The silhouette lies inside the projected corners of the cuboid around the vehicle, and nearly fills its box."""
    vehicle = Vehicle(model, np.random.default_rng(1))
    placement = Placement(np.array([22.0, 0.5, 0.0]), heading, 0.0, 0.5)
    sprite = rasterise(vehicle.polygons(CAMERA, LIGHT, placement), SIZE)
    assert sprite is not None
    rows, columns = np.nonzero(sprite.cover >= SILHOUETTE)
    first = np.array([sprite.left + columns.min(), sprite.top + rows.min()])
    end = np.array([sprite.left + columns.max() + 1, sprite.top + rows.max() + 1])
    length, half = model.half_length, model.half_track + 0.2
    height = max(hull.top[0, 2] for hull in model.hulls)
    corners = np.array([[x, y, z] for x in (-length, length) for y in (-half, half) for z in (0, height)])
    px, _ = CAMERA.project(placement.in_world(corners))
    low, high = px.min(axis=0), px.max(axis=0)
    assert (first > low - 3).all() and (end < high + 3).all()
    assert (end - first > 0.7 * (high - low)).all()
