"""A camera that pans past walkers, and all that comes of it."""

import functools
from dataclasses import fields
from fractions import Fraction

import cv2
import numpy as np

from streamdet.tracking.frame_tracker import FrameTracker, load_tracker
from streamdet.tracking.state import RunState
from streamdet.types import Detections, Frame

Step = tuple[Frame, Detections | None]
Outcome = tuple[bytes, ...]

RATE = Fraction(25)
STEPS = 36
PAN = range(8, 28)  # the camera moves by 9 px a step
NAMES = ("cat", "dog")


@functools.cache
def street() -> list[Step]:
    """Every second frame at 25 Hz; in every fifth of these nobody detects, and one walker is hidden at times."""
    random, steps = np.random.default_rng(0), list[Step]()
    layers = [cv2.resize(random.random((360 // cell, 840 // cell, 3)), (840, 360)) for cell in (40, 12)]
    image = np.asarray(np.mean(layers, axis=0) * 255, np.uint8)
    for k in range(STEPS):
        pan_px = 9 * min(max(k - PAN.start, 0), len(PAN))
        walkers = {0: 100 + 5.0 * k, 1: 600 - 3.0 * k + random.normal(0, 2), 2: 350 + random.normal(0, 2)}
        if k % 11 in (4, 5, 6):
            del walkers[0]
        boxes = [[x - pan_px, 150, x - pan_px + 60, 340 + random.normal(0, 2)] for x in walkers.values()]
        scores, labels = random.uniform(0.5, 0.9, len(boxes)), [who % 2 for who in walkers]
        view = np.ascontiguousarray(image[:, pan_px : pan_px + 640])
        found = None if k % 5 == 3 else Detections(boxes, scores, labels)
        steps.append((Frame(2 * k, 2 * k, 1 / RATE, view, "street", 0.0), found))
    return steps


def outcome(tracker: FrameTracker, step: Step) -> Outcome:
    """Return, to the byte, all that comes of a step."""
    frame, found = step
    tracks = tracker.expect(frame) if found is None else tracker.update(frame, found)
    columns = [field.name for field in fields(tracks) if field.compare and field.name != "amendments"]
    arrays = [getattr(tracks, name) for name in columns]
    arrays += [tracker.trails[track_id] for track_id in tracks.ids.tolist()]
    arrays += [tracker.camera_motion] if tracker.camera_motion is not None else []
    return (*(array.tobytes() for array in arrays if array is not None), repr(tracks.amendments).encode())


@functools.cache
def undisturbed(name: str) -> tuple[list[Outcome], list[RunState]]:
    """Return the outcomes of a whole run, and its state after each step."""
    tracker, outcomes, states = load_tracker(name, RATE), list[Outcome](), list[RunState]()
    for step in street():
        outcomes.append(outcome(tracker, step))
        states.append(tracker.state(NAMES))
    return outcomes, states
