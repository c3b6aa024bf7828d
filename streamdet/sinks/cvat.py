"""Tracks in XML, as CVAT takes them for a video (CVAT for video 1.1), to be corrected by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from streamdet.errors import printable
from streamdet.result import Result
from streamdet.sinks.header import TracksHeader
from streamdet.sinks.sink import TrackSink

Box = tuple[float, float, float, float]


class _Seen(NamedTuple):
    """A track in one frame."""

    frame: int
    box: Box
    class_id: int
    predicted: bool


class CvatSink(TrackSink):
    """A ``track`` for each id with a ``box`` for each frame that it was seen in, frames from 0.

    A predicted box is occluded. Where a track ends or pauses, a box that is outside says so in the next frame of the
    run; without it CVAT would go on with the last one. The label of a track is the class that it was seen as most
    often. All is written when the file is closed, since its rows are ordered by track: until then it is empty.
    """

    def __init__(self, path: Path, header: TracksHeader | None = None) -> None:
        super().__init__(path, header)
        self._frames: list[int] = []
        self._tracks: dict[int, list[_Seen]] = {}

    def _rows(self, result: Result) -> str:
        tracks, index = result.tracks, result.frame.index
        self._frames.append(index)
        predicted = (tracks.detection_index < 0).tolist()
        columns = tracks.ids.tolist(), tracks.boxes.tolist(), tracks.class_ids.tolist(), predicted
        for track_id, box, class_id, is_predicted in zip(*columns, strict=True):
            self._tracks.setdefault(track_id, []).append(_Seen(index, tuple(box), class_id, is_predicted))
        return ""

    def _finish(self) -> str:
        return "".join(self._lines())

    def _lines(self) -> Iterator[str]:
        names = [_text(name) for name in self._header.class_names or ()]
        last = self._frames[-1] if self._frames else -1
        size = max(self._header.frame_count or 0, last + 1)
        yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        yield self._meta(names, size)
        # The frame after each; after the last one only if the video has more than the run has seen.
        following = dict(pairwise([*self._frames, *([last + 1] if last + 1 < size else [])]))
        for track_id, seen in sorted(self._tracks.items()):
            label = names[Counter(each.class_id for each in seen).most_common(1)[0][0]]
            yield f'  <track id="{track_id}" label={quoteattr(label)} source="auto">\n'
            ends = [each.frame for each in seen[1:]] + [None]
            for each, again in zip(seen, ends, strict=True):
                yield _box(each.frame, each.box, outside=False, occluded=each.predicted)
                after = following.get(each.frame)
                if after is not None and after != again:
                    yield _box(after, each.box, outside=True, occluded=False)
            yield "  </track>\n"
        yield "</annotations>\n"

    def _meta(self, names: list[str], size: int) -> str:
        """Return what describes the video; CVAT itself has these from its task, other readers from here."""
        source = escape(_text(self._header.source or ""))
        labels = "".join(
            f"        <label><name>{escape(name)}</name><attributes></attributes></label>\n" for name in names
        )
        return (
            f"  <meta>\n    <task>\n      <name>{source}</name>\n      <size>{size}</size>\n"
            f"      <mode>interpolation</mode>\n      <overlap>0</overlap>\n      <flipped>False</flipped>\n"
            f"      <labels>\n{labels}      </labels>\n"
            f"      <original_size><width>{self._header.width or 0}</width>"
            f"<height>{self._header.height or 0}</height></original_size>\n"
            f"    </task>\n    <source>{source}</source>\n  </meta>\n"
        )


def _box(frame: int, box: Box, *, outside: bool, occluded: bool) -> str:
    left, top, right, bottom = box
    return (
        f'    <box frame="{frame}" xtl="{left:.2f}" ytl="{top:.2f}" xbr="{right:.2f}" ybr="{bottom:.2f}" '
        f'outside="{outside:d}" occluded="{occluded:d}" keyframe="1" z_order="0"></box>\n'
    )


def _text(name: str) -> str:
    """Return `name` without the characters that XML 1.0 does not allow, nor any encoding."""
    return printable(name)
