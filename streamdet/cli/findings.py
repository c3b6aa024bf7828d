"""What a run found, and the sentence that says so where it is too little to be of use."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import median

from streamdet.cli.report import counted, found
from streamdet.files import EMBEDDED_MODEL
from streamdet.options import IMAGE_SIZE_PX, TrackOptions
from streamdet.result import Result

# Detectors separate right from wrong at scores of about 0.3; what a whole track never reaches is a guess.
WEAK_SCORE = 0.35


class Findings:
    """The tracks of a run, with the best score and the classes that each was seen with, and the best detection.

    As text it says how many there are of each class, or in how many frames each class of the image was shown.
    """

    def __init__(self) -> None:
        self._best_of: dict[int, float] = defaultdict(float)
        self._names_of: dict[int, Counter[str]] = defaultdict(Counter)
        self._best, self._frames = 0.0, 0
        self._shown: Counter[str] = Counter()  # frames by the class of the image, of a model that classifies

    @property
    def classes(self) -> list[str]:
        """The class of each track, the one that it was seen as most often."""
        return [names.most_common(1)[0][0] for names in self._names_of.values()]

    def __str__(self) -> str:
        if not self._shown:
            return found(self.classes)
        return ", ".join(f"{name} in {counted(count, 'frame')}" for name, count in self._shown.most_common())

    def add(self, result: Result) -> None:
        """Count the detections and tracks of one frame."""
        self._frames += 1
        self._best = max(self._best, float(result.detections.scores.max(initial=0.0)))
        if result.image_class:
            self._shown[result.image_class.class_name] += 1
        tracks = result.tracks
        columns = (tracks.ids.tolist(), tracks.scores.tolist(), tracks.class_ids.tolist())
        for track_id, score, class_id in zip(*columns, strict=True):
            self._best_of[track_id] = max(self._best_of[track_id], score)
            self._names_of[track_id][result.class_names[class_id]] += 1

    def warnings(self, options: TrackOptions) -> list[str]:
        """Return a sentence where so little was found that it may be of no use, with what to try."""
        if not self._frames or self._shown:
            return []
        if not self._best:
            return [f"nothing was detected in {self._frames} frames: {_remedy(options)}"]
        if not self._best_of:
            return [f"nothing was tracked: the best detection scored {self._best:.2f}; {_remedy(options)}"]
        if (typical := median(self._best_of.values())) < WEAK_SCORE:
            return [
                f"only weak boxes were found: half of the tracks never scored above {typical:.2f}; {_remedy(options)}"
            ]
        return []


def _remedy(options: TrackOptions) -> str:
    """Return what to try, most promising first: a model of one's own where the embedded one runs."""
    size = options.size or IMAGE_SIZE_PX
    larger = 2 * (size if isinstance(size, int) else max(size))
    tries = [f"a larger --size, such as {larger}", "a lower --conf"]
    if options.classes is not None:
        tries.append("other --classes")
    if options.model in (None, EMBEDDED_MODEL):
        tries.insert(0, "a better model than the small one inside the package (--model yolov8n.pt)")
    return f"try {', '.join(tries[:-1])} or {tries[-1]}"
