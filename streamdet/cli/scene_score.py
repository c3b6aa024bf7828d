"""Scores a run over a rendered scene against the truth that the scene knows about itself."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from streamdet.cli.console import stderr
from streamdet.evaluate.mot import evaluate_mot
from streamdet.result import Result
from streamdet.scene.scene import Scene
from streamdet.scene.settings import parse_scene_url
from streamdet.scene.truth import CLASS_NAMES, SceneTruth, write_mot_truth
from streamdet.sinks import MotSink


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The first `frame_count` frames of a scene: what a run has seen of it."""

    scene: Scene
    frame_count: int

    @property
    def size(self) -> tuple[int, int]:
        return self.scene.size

    @property
    def frame_rate(self) -> Fraction:
        return self.scene.frame_rate

    def truth(self, index: int) -> SceneTruth:
        return self.scene.truth(index)


class SceneScore:
    """Keeps the tracks of a run over the scene `url`, every frame of it, until they are scored.

    Only tracks and objects of `classes` count, by name or number; None stands for all.
    """

    def __init__(self, url: str, classes: Collection[str] | None) -> None:
        self._url = url
        wanted = set(classes) if classes is not None else set(CLASS_NAMES)
        self._class_ids = [i for i, name in enumerate(CLASS_NAMES) if name in wanted or str(i) in wanted]
        self._folder = tempfile.TemporaryDirectory(prefix="streamdet-scene-")
        self._tracks = MotSink(Path(self._folder.name) / "scene.txt")
        self._frames = 0

    def write(self, result: Result) -> None:
        """Account the tracks of one frame."""
        self._tracks.write(result)
        self._frames += 1

    def print(self) -> None:
        """Render the truth of what the run has seen and print its scores, if TrackEval is installed."""
        with self._folder, self._tracks:
            if importlib.util.find_spec("trackeval") is None:
                stderr.print("the scene knows its own truth; pip install 'streamdet[eval]' to be told the scores")
            elif self._frames:
                stderr.print(self._scored())

    def _scored(self) -> str:
        truth = Path(self._folder.name) / "truth" / "scene"
        write_mot_truth(_Beginning(Scene(parse_scene_url(self._url)), self._frames), truth, self._class_ids)
        scores = evaluate_mot(truth, Path(self._folder.name) / "scene.txt").combined
        return (
            f"against the scene's own truth: HOTA {scores.hota:.1f}, MOTA {scores.mota:.1f}, IDF1 {scores.idf1:.1f}, "
            f"{scores.id_switches} id switches"
        )
