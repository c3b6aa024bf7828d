"""``streamdet eval mot``, and the score of a run over a rendered scene, which knows its own truth."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from streamdet.cli.console import stderr, stdout, table
from streamdet.cli.options import MotOptions
from streamdet.errors import MissingExtraError
from streamdet.evaluate.mot import SequenceScores, evaluate_mot
from streamdet.result import Result
from streamdet.scene.scene import Scene, parse_scene_url
from streamdet.scene.truth import CLASS_NAMES, SceneTruth, write_mot_truth
from streamdet.sinks import MotSink
from streamdet.types import Tracks


def print_mot_scores(options: MotOptions) -> None:
    """Print the scores per sequence and of all together."""
    scores = evaluate_mot(options.ground_truth, options.tracks, half=options.half, sequences=options.sequences)
    rows = table("sequence", "HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDs", "Frag", "FP", "FN", left=("sequence",))
    for name, score in [*scores.sequences.items(), ("all", scores.combined)]:
        values = [getattr(score, field.name) for field in fields(SequenceScores)]
        rows.add_row(name, *(f"{value:.2f}" if isinstance(value, float) else str(value) for value in values))
    stdout.print(rows)


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

    Only tracks and objects of `classes` count, by name or number in the model; None stands for all that it knows.
    """

    def __init__(self, url: str, classes: Iterable[str | int] | None) -> None:
        self._url, self._classes = url, None if classes is None else set(map(str, classes))
        self._names: set[str] = set()
        self._frames = 0

    def __enter__(self) -> SceneScore:
        self._folder = tempfile.TemporaryDirectory(prefix="streamdet-scene-")
        self._tracks = MotSink(Path(self._folder.name) / "scene.txt")
        return self

    def __exit__(self, *_: object) -> None:
        with self._folder, self._tracks:
            pass

    def write(self, result: Result) -> None:
        """Account the tracks of one frame."""
        known = {i: name for i, name in enumerate(result.class_names) if name in CLASS_NAMES and self._wants(i, name)}
        self._names, tracks = set(known.values()), result.tracks
        counted = np.isin(tracks.class_ids, list(known))
        columns = (getattr(tracks, field.name)[counted] for field in fields(tracks))
        self._tracks.write(replace(result, tracks=Tracks(*columns)))
        self._frames += 1

    def print(self) -> None:
        """Render the truth of what the run has seen and print its scores, if TrackEval is installed."""
        if not self._names:
            return
        if importlib.util.find_spec("trackeval") is None:
            reason = MissingExtraError("trackeval", "eval")
            stderr.print(f"the scene knows its truth, but is not scored: {reason}", markup=False, soft_wrap=True)
        else:
            stderr.print(self._scored(), soft_wrap=True)

    def _wants(self, class_id: int, name: str) -> bool:
        return self._classes is None or name in self._classes or str(class_id) in self._classes

    def _scored(self) -> str:
        truth = Path(self._folder.name) / "truth" / "scene"
        class_ids = [CLASS_NAMES.index(name) for name in self._names]
        write_mot_truth(_Beginning(Scene(parse_scene_url(self._url)), self._frames), truth, class_ids)
        scores = evaluate_mot(truth, Path(self._folder.name) / "scene.txt").combined
        return (
            f"against the scene's own truth: HOTA {scores.hota:.1f}, MOTA {scores.mota:.1f}, IDF1 {scores.idf1:.1f}, "
            f"{scores.id_switches} id switches"
        )
