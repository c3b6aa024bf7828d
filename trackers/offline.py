"""Trackers over whole sequences, and finished tracks refined with the knowledge of all frames."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import count, pairwise

import numpy as np

from trackers.appearance import AppearanceSamples, Feature, mean_features
from trackers.linking import chains, link, link_by_appearance
from trackers.mot import MotRows
from trackers.smoothing import BOX, Sightings, Trajectory, learned_wander, smooth, trajectory
from trackers.stabiliser import Stabiliser
from trackers.tracker import Tracker
from trackers.types import FloatArray, IntArray

INSIDE_SHARE = 0.99  # of the detections' centres that count as inside the image; boxes reach beyond it, centres too
SHORT_GAP_S = 0.5  # tracks are cut at longer gaps, after which they may continue with another object
MAX_HIDDEN_S = 1.5  # the longest gap between linked pieces, and the longest that is filled
MOST_SPANNED = 1000  # frames for each row: numbers further apart are time stamps, and no frames to be filled
WEAK_SHARE = 0.6  # of the mean score of its class: a track with a lower mean score is taken for no object


def track_frames(
    tracker: Tracker,
    detections: MotRows,
    *,
    frames: Sequence[int] | None = None,
    camera_motion: FloatArray | None = None,
    image_size: tuple[float, float] | None = None,
    measured: bool = False,
) -> MotRows:
    """Return the tracks that a new `tracker` reports for `detections`.

    - `frames`: the ascending frame numbers from 1 that are tracked, by default all up to the last detection. Frames
      that are left out count as dropped: more time elapses, and the camera motions add up. Frames in which nothing can
      happen take no time: a range may be as long as a time stamp is large.
    - `camera_motion` (F, 2, 3) in px: as from `trackers.mot.read_camera_motion`; that of the first frame is not used.
    - `image_size`: width and height in px, outside which no object is expected. By default it is estimated from the
      centres of the detections, which does as well (HOTA on MOT17 the same; an unknown size 0.2 less).
    - `measured`: the boxes of the rows are those of the detections instead of the tracker's estimates, and tracks have
      no row where they are not matched; `refine` works best on such rows.

    Raises ValueError when frames are out of order or beyond the camera motion.
    """
    if frames is None:
        frames = range(1, int(detections.frames.max(initial=0)) + 1)
    _check_order(frames)
    last_frame = frames[-1] if frames else 0
    if camera_motion is not None and last_frame > len(camera_motion):
        raise ValueError(f"expected camera motion up to frame {last_frame}, found {len(camera_motion)} entries")
    image_size = _estimated_size(detections.boxes) if image_size is None else image_size
    parts: list[MotRows] = []
    previous = 0
    for frame in _eventful(frames, detections.frames, tracker):
        start, end = np.searchsorted(detections.frames, [frame, frame + 1])
        present, begun = detections.select(slice(start, end)), previous > 0
        tracks = tracker.update(
            present.boxes,
            present.scores,
            present.class_ids,
            elapsed=frame - previous if begun else 1.0,
            camera_motion=composed(camera_motion[previous:frame]) if begun and camera_motion is not None else None,
            image_size=image_size,
        )
        previous = frame
        rows = MotRows(np.full(len(tracks.ids), frame), tracks.ids, tracks.boxes, tracks.scores, tracks.class_ids)
        parts.append(_with_detected_boxes(rows, tracks.detection_index, present.boxes) if measured else rows)
    return MotRows.concatenate(parts)


def _eventful(frames: Sequence[int], detected: IntArray, tracker: Tracker) -> Iterator[int]:
    """Yield the ascending `frames` but for those in which nothing can happen; `detected` (N,) are those of detections.

    Nothing happens in a frame without detections while there are no tracks. The frame before each detection is
    yielded, so that the step to the detection is one frame.
    """
    position = 0
    while position < len(frames):
        frame = frames[position]
        yield frame
        position += 1
        if tracker.count:
            continue
        later = np.searchsorted(detected, frame, side="right")
        upcoming = bisect_left(frames, int(detected[later])) if later < len(detected) else len(frames)
        position = max(position, upcoming - 1)


def composed(affines: FloatArray) -> FloatArray:
    """Return the one affine (2, 3) that equals `affines` (K, 2, 3) applied one after the other, the first first."""
    total = np.eye(3)
    for affine in affines:
        total = np.vstack([affine, (0, 0, 1)]) @ total
    return total[:2]


def _estimated_size(boxes: FloatArray) -> tuple[float, float]:
    """Return the width and height in px that `INSIDE_SHARE` of the centres of `boxes` (N, 4) lie within."""
    if not len(boxes):
        return np.inf, np.inf
    width, height = np.quantile((boxes[:, :2] + boxes[:, 2:]) / 2, INSIDE_SHARE, axis=0)
    return float(width), float(height)


def _with_detected_boxes(rows: MotRows, detection_index: IntArray, boxes: FloatArray) -> MotRows:
    """Return the `rows` that have a detection, at its box; `detection_index` (N,) are rows of `boxes` (M, 4), or -1."""
    matched = detection_index >= 0
    return rows.select(matched)._replace(boxes=boxes[detection_index[matched]])


def _check_order(frames: Sequence[int]) -> None:
    """Raise ValueError unless `frames` are ascending numbers from 1."""
    if isinstance(frames, range) and frames.step > 0:
        frames = frames[:1]  # there may be as many as a time stamp is large
    for previous, frame in pairwise([0, *frames]):
        if frame <= previous:
            raise ValueError(f"expected ascending frame numbers from 1, found {frame} after {previous}")


def refine(
    rows: MotRows,
    *,
    frame_rate: float,
    camera_motion: FloatArray | None = None,
    appearance: AppearanceSamples | None = None,
) -> MotRows:
    """Return the finished tracks `rows` linked, smoothed and with their gaps filled, ordered by frame and id.

    - Tracks are cut at gaps of more than `SHORT_GAP_S`, and all pieces are linked anew by their motion (`link`).
    - With samples of their `appearance`, tracks are cut before where another begins, pieces that look unlike are not
      linked, and tracks that look alike are joined after (`trackers.appearance`).
    - Tracks that score much less than others of their class are left out (`WEAK_SHARE`).
    - What all objects are shifted by at once is taken for the camera's motion, beside what is known of that
      (`trackers.stabiliser`).
    - Boxes are smoothed in the image of frame 1, the less the more abruptly objects move (`trackers.smoothing`).
    - Gaps of up to `MAX_HIDDEN_S` are filled; their rows have the score of the last detection.

    `rows` should be those of `track_frames` with `measured`: the smoother knows more about hidden tracks than the
    tracker did (on MOT17 by 0.9 HOTA). `frame_rate` is in Hz. `camera_motion` f64 (F, 2, 3) in
    px is as from `trackers.mot.read_camera_motion`; None means a static camera.

    All rows of a track get the class of its last one. A track keeps the id that it begins with; pieces that were cut
    off get new ones. Raises ValueError for two rows of one track in a frame, a frame rate that is not above 0, frame
    numbers that are time stamps, and camera motion that ends before the tracks or has no inverse.
    """
    _check_rows(rows, frame_rate)
    if not len(rows.frames):
        return rows
    rows, appearance = (appearance or AppearanceSamples()).split(rows)
    camera = Stabiliser(camera_motion, int(rows.frames.max()))
    pieces = _pieces(rows, SHORT_GAP_S * frame_rate)
    spanned = sum(int(piece.frames[-1] - piece.frames[0]) + 1 for piece in pieces)
    if spanned > MOST_SPANNED * len(rows.frames):
        raise ValueError(f"expected frames that are counted one by one, found {spanned} for {len(rows.frames)} boxes")
    camera.follow([_sightings(piece, camera) for piece in pieces])
    seen = [_sightings(piece, camera) for piece in pieces]
    wander = learned_wander(seen, frame_rate)
    paths = [smooth(piece, frame_rate, wander) for piece in seen]
    ids, class_ids = np.array([(piece.ids[0], piece.class_ids[0]) for piece in pieces]).T
    views = [appearance.within(int(piece.ids[0]), int(piece.frames[0]), int(piece.frames[-1])) for piece in pieces]
    origins = link(
        paths, ids, class_ids, mean_features(views), frame_rate=frame_rate, max_hidden_s=MAX_HIDDEN_S, wander=wander
    )
    linked = chains(origins, [path.first for path in paths])
    linked = _joined(linked, paths, class_ids, views, frame_rate)
    tracks = _with_unique_ids([MotRows.concatenate([pieces[k] for k in chain]) for chain in linked])
    parts = []
    for track in _without_weak(tracks):
        path = trajectory(_sightings(track, camera), frame_rate, wander)
        parts.append(_filled(track, path, camera, MAX_HIDDEN_S * frame_rate))
    rows = MotRows.concatenate(parts)
    return rows.select(np.lexsort([rows.ids, rows.frames]))


def _check_rows(rows: MotRows, frame_rate: float) -> None:
    if not 0 < frame_rate < np.inf:
        raise ValueError(f"frame_rate must be a rate in Hz above 0, got {frame_rate}")
    places, counts = np.unique(np.stack([rows.frames, rows.ids]), axis=1, return_counts=True)
    if (counts > 1).any():
        frame, track_id = places[:, counts.argmax()].tolist()
        raise ValueError(f"expected one row of a track in a frame, found {counts.max()} of {track_id} in frame {frame}")


def _pieces(rows: MotRows, short_gap: float) -> list[MotRows]:
    """Return the pieces of all tracks, ordered by track and time, cut at gaps of more than `short_gap` frames.

    All rows of a track get the class of its last one. Where frames were dropped, the usual step between frames is no
    gap.
    """
    rows = rows.select(np.lexsort([rows.frames, rows.ids]))
    _, first, track = np.unique(rows.ids, return_index=True, return_inverse=True)
    last = np.append(first[1:], len(track)) - 1
    rows = rows._replace(class_ids=rows.class_ids[last][track])
    steps, begins = np.diff(rows.frames), np.diff(track) > 0
    usual_step = np.median(np.append(steps[~begins], 1))
    cuts = np.nonzero(begins | (steps > max(short_gap, usual_step)))[0] + 1
    return [rows.select(slice(begin, end)) for begin, end in pairwise([0, *cuts.tolist(), len(track)])]


def _sightings(track: MotRows, camera: Stabiliser) -> Sightings:
    """Return the detections of `track` in the image of frame 1; each box is at least 1 px wide and high."""
    corner, opposite = track.boxes[:, :2], track.boxes[:, 2:]
    boxes = np.hstack([(corner + opposite) / 2, np.maximum(opposite - corner, 1.0)])
    return Sightings(track.frames, camera.to_first(track.frames, boxes), track.scores)


def _joined(
    linked: list[list[int]],
    paths: list[Trajectory],
    class_ids: IntArray,
    views: list[list[Feature]],
    frame_rate: float,
) -> list[list[int]]:
    """Return the tracks `linked`, each a list of pieces, joined where two of them look alike."""
    firsts, lasts = [track[0] for track in linked], [track[-1] for track in linked]
    features = mean_features([[feature for piece in track for feature in views[piece]] for track in linked])
    ends, begins = [paths[piece] for piece in lasts], [paths[piece] for piece in firsts]
    origins = link_by_appearance(ends, begins, class_ids[firsts], features, frame_rate=frame_rate)
    longer = chains(origins, [path.first for path in begins])
    return [[piece for track in chain for piece in linked[track]] for chain in longer]


def _with_unique_ids(tracks: list[MotRows]) -> list[MotRows]:
    """Return `tracks`, ordered by time, with one id each: their first one, or a new one if an earlier track has it."""
    free_ids = count(max(int(track.ids.max()) for track in tracks) + 1)
    taken: set[int] = set()
    result = []
    for track in tracks:
        own = int(track.ids[0])
        track_id = next(free_ids) if own in taken else own
        taken.add(track_id)
        result.append(track._replace(ids=np.full_like(track.ids, track_id)))
    return result


def _without_weak(tracks: list[MotRows]) -> list[MotRows]:
    """Return the `tracks` whose mean score is at least `WEAK_SHARE` of that of their class."""
    rows = MotRows.concatenate(tracks)
    means = {label: rows.scores[rows.class_ids == label].mean() for label in np.unique(rows.class_ids).tolist()}
    return [track for track in tracks if track.scores.mean() >= WEAK_SHARE * means[int(track.class_ids[0])]]


def _filled(track: MotRows, path: Trajectory, camera: Stabiliser, longest_gap: float) -> MotRows:
    """Return the rows of `path` in the frames of `track`, and in its gaps of up to `longest_gap` frames."""
    frames = np.arange(path.first, path.last + 1)
    before = np.searchsorted(track.frames, frames, side="right") - 1
    after = np.searchsorted(track.frames, frames)
    near = np.nonzero(track.frames[after] - track.frames[before] <= longest_gap)[0]
    frames, before = frames[near], before[near]
    boxes = camera.from_first(frames, path.means[near, BOX])
    half = boxes[:, 2:] / 2
    corners = np.hstack([boxes[:, :2] - half, boxes[:, :2] + half])
    return MotRows(frames, track.ids[before], corners, track.scores[before], track.class_ids[before])
