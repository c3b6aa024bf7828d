"""``streamdet eval mot``, and the scores of a run against ground truth: that of a folder, or of a rendered scene."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from rich.markup import escape

from streamdet.cli.console import stderr, stdout, table, warn
from streamdet.cli.options import MotOptions
from streamdet.errors import MissingExtraError
from streamdet.evaluate.mot import SequenceScores, evaluate_mot, evaluate_tracks
from streamdet.evaluate.sequences import GroundTruth, read_ground_truth
from streamdet.result import Result
from streamdet.sinks.mot import MotSink
from streamdet.types import Float32Array

if TYPE_CHECKING:
    from streamdet.scene.truth import SceneTruth


def print_mot_scores(options: MotOptions) -> None:
    """Print the scores per sequence and of all together."""
    scores = evaluate_mot(options.ground_truth, options.tracks, half=options.half, sequences=options.sequences)
    rows = table("sequence", "HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDs", "Frag", "FP", "FN", left=("sequence",))
    for name, score in [*scores.sequences.items(), ("all", scores.combined)]:
        values = [getattr(score, field.name) for field in fields(SequenceScores)]
        rows.add_row(escape(name), *(_number(value) for value in values))
    stdout.print(rows)
    for note in scores.notes.values():
        warn(note)


def _number(value: float) -> str:
    """Return a count as it is, a percentage to two decimals, and a dash for one that is not defined."""
    if isinstance(value, int):
        return str(value)
    return "-" if np.isnan(value) else f"{value:.2f}"


class Truth(Protocol):
    """Ground truth of a source."""

    @property
    def name(self) -> str:
        """What the printed scores call it."""

    @property
    def class_names(self) -> Sequence[str] | None:
        """The classes that are labelled, None for all."""

    def read(self, folder: Path, frame_count: int, class_names: Collection[str], *, rotated: bool) -> GroundTruth:
        """Return the labels of the first `frame_count` frames of objects of `class_names`; `folder` is for files.

        They are `rotated` boxes if these are asked for and known.
        """


class FolderTruth:
    """The labels in a sequence `folder` of the MOTChallenge, ``gt/gt.txt`` and ``seqinfo.ini``; raises InputError."""

    class_names = None

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._truth = read_ground_truth(folder)

    def read(self, folder: Path, frame_count: int, class_names: Collection[str], *, rotated: bool) -> GroundTruth:
        """Return the labels of the first `frame_count` frames, which are upright boxes."""
        length = min(self._truth.length, frame_count)
        return replace(self._truth, length=length, boxes=self._truth.boxes.window(1, length))


class RenderedTruth:
    """The truth of the rendered scene at `url`, rendered once more when it is read."""

    name = "the scene's own truth"

    def __init__(self, url: str) -> None:
        from streamdet.scene.truth import CLASS_NAMES

        self.class_names = CLASS_NAMES
        self._url = url

    def read(self, folder: Path, frame_count: int, class_names: Collection[str], *, rotated: bool) -> GroundTruth:
        """Return the labels of the first `frame_count` frames of objects of `class_names`."""
        from streamdet.scene.scene import Scene, parse_scene_url
        from streamdet.scene.truth import write_mot_truth

        scene = Scene(parse_scene_url(self._url))
        # Masks of a whole video would fill the memory.
        truths = [replace(scene.truth(index, shapes=rotated), masks=None) for index in range(frame_count)]
        class_ids = [self.class_names.index(name) for name in class_names]
        write_mot_truth(_Beginning(scene.size, scene.frame_rate, truths), folder, class_ids)
        known = read_ground_truth(folder)
        if not rotated:
            return known
        boxes = np.concatenate([truth.rotated for truth in truths if truth.rotated is not None])
        return replace(known, boxes=replace(known.boxes, boxes=boxes.astype(np.float64)))


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The first frames of a scene, whose `truths` are known."""

    size: tuple[int, int]
    frame_rate: Fraction
    truths: Sequence[SceneTruth]

    @property
    def frame_count(self) -> int:
        return len(self.truths)

    def truth(self, index: int) -> SceneTruth:
        return self.truths[index]


class RunScore:
    """Keeps the tracks of a run, every frame of it, until they are scored against `truth`.

    Rotated boxes are compared with rotated ones, if `truth` knows them, else the upright boxes around them.

    Only tracks and objects of `classes` count, by name or number in the model; None stands for all that are labelled.
    A model that classifies whole images has no tracks and no score.
    """

    def __init__(self, truth: Truth, classes: Iterable[str | int] | int | None) -> None:
        asked = [classes] if isinstance(classes, int) else classes
        self._truth, self._classes = truth, None if asked is None else set(map(str, asked))
        self._names: set[str] = set()
        self._rotated: list[Float32Array] = []  # of each frame with tracks, in the order of their rows
        self._frame_count = 0

    def __enter__(self) -> RunScore:
        self._folder = tempfile.TemporaryDirectory(prefix="streamdet-score-")
        self._tracks = MotSink(Path(self._folder.name) / "tracks.txt")
        return self

    def __exit__(self, *_: object) -> None:
        with self._folder, self._tracks:
            pass

    def write(self, result: Result) -> None:
        """Keep the tracks of one frame."""
        if result.image_class is not None:
            return
        counted = {i: name for i, name in enumerate(result.class_names) if self._counts(i, name)}
        self._names, tracks = set(counted.values()), result.tracks
        rows = np.isin(tracks.class_ids, list(counted))
        if tracks.rotated is not None:
            self._rotated.append(tracks.rotated[rows])
        self._tracks.write(replace(result, tracks=tracks[rows]))
        self._frame_count += 1

    def print(self) -> None:
        """Print the scores, if TrackEval is installed."""
        if not self._names:
            return
        if importlib.util.find_spec("trackeval") is None:
            reason = MissingExtraError("trackeval", "eval")
            stderr.print(f"not scored against {self._truth.name}: {reason}", markup=False, soft_wrap=True)
        else:
            stderr.print(f"against {self._truth.name}: {self._scored()}", markup=False, soft_wrap=True)

    def _counts(self, class_id: int, name: str) -> bool:
        is_labelled = self._truth.class_names is None or name in self._truth.class_names
        is_wanted = self._classes is None or name in self._classes or str(class_id) in self._classes
        return is_labelled and is_wanted

    def _scored(self) -> str:
        folder = Path(self._folder.name)
        truth = self._truth.read(folder / "truth", self._frame_count, self._names, rotated=bool(self._rotated))
        rotated = np.concatenate(self._rotated).astype(np.float64) if self._rotated else None
        scores = evaluate_tracks(truth, folder / "tracks.txt", self._frame_count, rotated)
        if np.isnan(scores.hota):
            return f"expected objects in the {truth.length} frames, found none to score"
        return (
            f"HOTA {scores.hota:.1f}, MOTA {scores.mota:.1f}, IDF1 {scores.idf1:.1f}, {scores.id_switches} id switches"
        )
