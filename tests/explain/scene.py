"""Scripted scenes at 10 Hz: people 40 px wide and 100 px high, who stand where they are put."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from streamdet.explain.record import ExplainFile, ExplainSink, Header
from streamdet.explain.story import read_lives, tell
from streamdet.result import Result
from streamdet.tracking.frame_tracker import load_tracker
from streamdet.types import Detections, Frame

RATE_HZ = 10
BLANK = np.zeros((240, 640, 3), np.uint8)

Person = tuple[float, float]  # left side in px, score
Scene = Sequence[Sequence[Person]]  # the people of every frame


def detections(people: Sequence[Person]) -> Detections:
    """Return what a detector would give, the best score first."""
    people = sorted(people, key=lambda person: -person[1])
    boxes = np.array([[left, 100, left + 40, 200] for left, _ in people], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array([score for _, score in people], np.float32), np.zeros(len(people), np.int64))


def tracked(scene: Scene, tracker: str = "bytetrack", *, explains: bool = True) -> list[Result]:
    """Return the results of a scene."""
    follower, results = load_tracker(tracker, RATE_HZ, explains=explains), []
    for index, people in enumerate(scene):
        frame = Frame(index, index, Fraction(1, RATE_HZ), BLANK, "scene", 0.0)
        found = detections(people)
        tracks = follower.update(frame, found)
        results.append(Result(frame, found, tracks, ["person"], {}, None, follower.decisions))
    return results


def header(tracker: str = "bytetrack") -> Header:
    """Return the first line of a file."""
    return Header("scene", tracker, float(RATE_HZ), SETTINGS[tracker])


# What the stories are told with; the shipped files say the same.
SETTINGS: dict[str, dict[str, bool | int | float]] = {
    "bytetrack": {"track_high_thresh": 0.25, "track_low_thresh": 0.1, "new_track_thresh": 0.4, "track_buffer_s": 2.0},
    "streamsort": {"track_high_thresh": 0.6, "track_low_thresh": 0.1, "new_track_thresh": 0.85, "track_buffer_s": 1.5},
}


def recorded(path: Path, scene: Scene, tracker: str = "bytetrack") -> ExplainFile:
    """Track a scene, write its explanation to `path` and open that."""
    with ExplainSink(path, header(tracker)) as sink:
        for result in tracked(scene, tracker):
            sink.write(result)
    return ExplainFile(path)


def story(file: ExplainFile, track_id: int) -> list[str]:
    """Return the lines that are told about an id."""
    lives = read_lives(file.frames())
    passages = tell(file.header, file.frames(), lives, lives.by_id[track_id])
    return [line for passage in passages for line in (f"{passage.when}: {passage.text}", *passage.details)]
