"""Objects of an image as rows: chosen by index, mask or class name, and read one by one."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, Generic, Literal, NamedTuple, Protocol, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt

from streamdet.arrays import Value
from streamdet.errors import InputError, MissingExtraError, closest, shown

Box = tuple[float, float, float, float]


class Detection(NamedTuple):
    """One row of `Detections`: `box` is x1, y1, x2, y2 in px; `class_name` is the number of a class without a name."""

    box: Box
    score: float
    class_id: int
    class_name: str


class Track(NamedTuple):
    """One row of `Tracks`, as `Detection`; `predicted` if the object is hidden for a moment, and its box predicted."""

    id: int
    box: Box
    score: float
    class_id: int
    class_name: str
    predicted: bool


class ImageClass(NamedTuple):
    """The class of whole images that is shown, and its mean probability during the last second."""

    class_id: int
    class_name: str
    probability: float


class Amendment(NamedTuple):
    """What a frame shows of two `ids` that were given out before.

    - ``same``: they are of one object. The first of them ends, the second goes on.
    - ``swapped``: from the time `since_s` in s on, each goes on with the object of the other. None of other kinds.
    """

    kind: Literal["same", "swapped"]
    ids: tuple[int, int]
    since_s: float | None = None


Row = TypeVar("Row", Detection, Track)


class Column(Protocol):
    """One value for each row: an array, or masks."""

    def __len__(self) -> int: ...
    def __getitem__(self, chosen: Any) -> Any: ...


class Rows(Value, Generic[Row]):
    """Base class of `Detections` and `Tracks`, which are sequences of rows.

    ``rows[2]`` is one row, a `Detection` or `Track`. ``rows["person"]``, ``rows[["car", "bus"]]``, ``rows[:3]``,
    ``rows[[0, 2]]`` and ``rows[rows.scores > 0.5]`` are some of the rows, as a value of the same type. Raises
    InputError for a name that is no class, and IndexError as NumPy does.
    """

    __slots__ = ()
    _of_image = ("class_names", "probabilities", "amendments")  # fields that are not one value for each row

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]
    class_names: Sequence[str]
    keypoints: npt.NDArray[np.float32] | None
    rotated: npt.NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[Row]:
        return (self._row(index) for index in range(len(self)))

    @overload
    def __getitem__(self, chosen: int | np.integer[Any]) -> Row: ...
    @overload
    def __getitem__(self, chosen: str | Sequence[str] | slice | npt.ArrayLike) -> Self: ...
    def __getitem__(self, chosen: Any) -> Row | Self:
        if isinstance(chosen, int | np.integer):
            return self._row(chosen)
        if not isinstance(chosen, slice):
            chosen = np.asarray(chosen)
            if chosen.dtype.kind == "U":
                chosen = np.isin(self.class_ids, class_ids(np.atleast_1d(chosen).tolist(), self.class_names))
            elif not chosen.size:
                chosen = chosen.astype(np.int64)  # an empty list is an array of floats
        names = (column.name for column in fields(self) if column.name not in self._of_image)  # type: ignore[arg-type]
        columns = {name: getattr(self, name) for name in names}
        rows = {name: column[chosen] for name, column in columns.items() if column is not None}
        return replace(self, **rows)  # type: ignore[type-var]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)}: {self.counts()})" if len(self) else f"{type(self).__name__}(0)"

    def counts(self, class_names: Sequence[str] | None = None) -> str:
        """Return how many rows each class has, "4 person, 1 car", the most frequent first."""
        names = self.class_names if class_names is None else class_names
        counted = Counter(self.class_ids.tolist()).most_common()
        return ", ".join(f"{count} {class_name(class_id, names)}" for class_id, count in counted)

    def _fill(self, class_names: Sequence[str], **columns: Column | None) -> None:
        """Set all fields; raises ValueError for columns of unequal length. None is a column that is not there."""
        lengths = {name: len(column) for name, column in columns.items() if column is not None}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"rows differ: {', '.join(f'{name} has {length}' for name, length in lengths.items())}")
        for name, value in (*columns.items(), ("class_names", class_names)):
            object.__setattr__(self, name, value)  # the way of dataclasses that are frozen

    @abstractmethod
    def _row(self, index: int | np.integer[Any]) -> Row:
        """Return one row; raises IndexError."""

    def _detection(self, index: int | np.integer[Any]) -> Detection:
        """Return the values that all rows have; raises IndexError."""
        class_id = int(self.class_ids[index])
        x1, y1, x2, y2 = self.boxes[index].tolist()
        return Detection((x1, y1, x2, y2), float(self.scores[index]), class_id, class_name(class_id, self.class_names))

    def _to_supervision(
        self,
        mask: npt.NDArray[np.bool_] | None = None,
        tracker_id: npt.NDArray[np.int64] | None = None,
        **data: npt.NDArray[np.int64],
    ) -> Any:
        """Return the rows with arrays that may be written to, as annotators and filters of supervision expect."""
        try:
            import supervision
        except ImportError:
            raise MissingExtraError("supervision", "interop") from None
        names = [class_name(class_id, self.class_names) for class_id in self.class_ids.tolist()]
        added: dict[str, npt.NDArray[Any]] = {"class_name": np.array(names, str)}
        if self.keypoints is not None:
            added["keypoints"] = self.keypoints.copy()
        if self.rotated is not None:
            added["xyxyxyxy"] = rotated_corners(self.rotated)
        return supervision.Detections(
            xyxy=self.boxes.copy(),
            confidence=self.scores.copy(),
            class_id=self.class_ids.copy(),
            tracker_id=tracker_id,
            mask=mask,
            data={name: column.copy() for name, column in data.items()} | added,
        )


def added_columns(
    keypoints: npt.NDArray[np.float32] | None, rotated: npt.NDArray[np.float32] | None
) -> dict[str, npt.NDArray[np.float32]]:
    """Return key points (N, K, 3) and rotated boxes (N, 5) as the columns (N,) of a table, by name; either may be None.

    They are cx, cy, w, h and angle of rotated boxes; kp0_x, kp0_y and kp0_v, the visibility, of the first key point,
    and so on.
    """
    columns: dict[str, npt.NDArray[np.float32]] = {}
    if rotated is not None:
        columns |= dict(zip(("cx", "cy", "w", "h", "angle"), rotated.T, strict=True))
    if keypoints is not None:
        names = [f"kp{point}_{part}" for point in range(keypoints.shape[1]) for part in "xyv"]
        columns |= dict(zip(names, keypoints.reshape(len(keypoints), len(names)).T, strict=True))
    return columns


def rotated_corners(rotated: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the corners (N, 4, 2), one after the other, of `rotated` boxes (N, 5)."""
    angle = rotated[:, 4:]
    along = np.hstack([np.cos(angle), np.sin(angle)]) * rotated[:, 2:3] / 2
    across = np.hstack([-np.sin(angle), np.cos(angle)]) * rotated[:, 3:4] / 2
    turns = (-along - across, along - across, along + across, across - along)
    return np.asarray(rotated[:, None, :2] + np.stack(turns, axis=1), np.float32)


def class_name(class_id: int, class_names: Sequence[str]) -> str:
    """Return the name of a class, or its number if it has no name."""
    return class_names[class_id] if class_id < len(class_names) else str(class_id)


def class_ids(asked: Iterable[str | int], class_names: Sequence[str]) -> tuple[int, ...]:
    """Return the ids of the classes that are `asked` for by name or number; raises InputError naming the nearest."""
    known = {name: index for index, name in enumerate(class_names)}
    known |= {str(index): index for index in range(len(class_names))}
    names = [str(name) for name in asked]
    for name in names:
        if name not in known:
            raise InputError(f"the model has no class {shown(name)}{closest(name, list(class_names))}")
    return tuple(known[name] for name in names)
