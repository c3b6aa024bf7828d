"""Trackers over whole sequences, and finished tracks refined with the knowledge of all frames."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import count, pairwise

import numpy as np

from trackers.assignment import assign
from trackers.mot import MotRows
from trackers.smoothing import BOX, Sightings, Stabiliser, Trajectory, motion_noise, size, smooth, transition
from trackers.tracker import Tracker
from trackers.types import FloatArray, IntArray

INSIDE_SHARE = 0.99  # of the detections' centres that count as inside the image; boxes reach beyond it, centres too
SHORT_GAP_S = 0.3  # tracks are cut at longer gaps, after which they may continue with another object
MAX_HIDDEN_S = 1.5  # the longest gap between linked pieces, and the longest that is filled
TRUST = 6.0  # in the tracker's decisions: the odds must be e^3 to undo a link of its, or to make another one
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


def refine(rows: MotRows, *, frame_rate: float, camera_motion: FloatArray | None = None) -> MotRows:
    """Return the finished tracks `rows` linked, smoothed and with their gaps filled, ordered by frame and id.

    - Tracks are cut at gaps of more than `SHORT_GAP_S`, and all pieces are linked anew by their motion (`link`).
    - Tracks that score much less than others of their class are left out (`WEAK_SHARE`).
    - Boxes are smoothed in the image of frame 1 (`trackers.smoothing`).
    - Gaps of up to `MAX_HIDDEN_S` are filled; their rows have the score of the last detection.

    `rows` should be those of `track_frames` with `measured`: the smoother knows more about hidden tracks than the
    tracker did (HOTA on MOT17 73.2, with predicted rows 72.3). `frame_rate` is in Hz. `camera_motion` f64 (F, 2, 3) in
    px is as from `trackers.mot.read_camera_motion`; None means a static camera.

    All rows of a track get the class of its last one. A track keeps the id that it begins with; pieces that were cut
    off get new ones. Raises ValueError for two rows of one track in a frame, a frame rate that is not above 0, frame
    numbers that are time stamps, and camera motion that ends before the tracks or has no inverse.
    """
    _check_rows(rows, frame_rate)
    if not len(rows.frames):
        return rows
    camera = Stabiliser(camera_motion, int(rows.frames.max()))
    pieces = _pieces(rows, SHORT_GAP_S * frame_rate)
    spanned = sum(int(piece.frames[-1] - piece.frames[0]) + 1 for piece in pieces)
    if spanned > MOST_SPANNED * len(rows.frames):
        raise ValueError(f"expected frames that are counted one by one, found {spanned} for {len(rows.frames)} boxes")
    paths = [smooth(_sightings(piece, camera), frame_rate) for piece in pieces]
    ids, class_ids = np.array([(piece.ids[0], piece.class_ids[0]) for piece in pieces]).T
    origins = link(paths, ids, class_ids, frame_rate=frame_rate, max_hidden_s=MAX_HIDDEN_S)
    chains = _chains(origins, [path.first for path in paths])
    tracks = _with_unique_ids([MotRows.concatenate([pieces[k] for k in chain]) for chain in chains])
    parts = []
    for track, chain in _without_weak(tracks, chains):
        path = paths[chain[0]] if len(chain) == 1 else smooth(_sightings(track, camera), frame_rate)
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


def link(
    paths: list[Trajectory], ids: IntArray, class_ids: IntArray, *, frame_rate: float, max_hidden_s: float
) -> IntArray:
    """Return for each of N pieces of tracks the index (N,) of the piece that it continues, -1 for none.

    `paths` are the pieces, ordered by track and time; `ids` and `class_ids` (N,) are those of their tracks;
    `frame_rate` is in Hz. A piece may continue the one before it in its track, and any piece of its class that ended at
    most `max_hidden_s` before; each is continued at most once.

    All pieces are linked at once, by the most likely pairing of ends and beginnings (after the association of tracklets
    in Huang, Wu, Nevatia: Robust object tracking by hierarchical association of detection responses, ECCV 2008).
    """
    begins = np.array([path.first for path in paths])
    earlier, later, costs = [], [], []
    for index, path in enumerate(paths):
        gaps_s = (begins - path.last) / frame_rate
        own = (np.arange(len(ids)) == index + 1) & (ids == ids[index])
        near = (gaps_s > 0) & (gaps_s <= max_hidden_s) & (class_ids == class_ids[index])
        after = np.nonzero(own | near)[0]
        limits = np.where(own[after], TRUST, -TRUST)
        cost = _surprise(path, [paths[k] for k in after], gaps_s[after]) - limits
        earlier.append(np.full((cost < 0).sum(), index))
        later.append(after[cost < 0])
        costs.append(cost[cost < 0])
    rows, columns = np.concatenate(earlier), np.concatenate(later)
    chosen = assign(rows, columns, np.concatenate(costs), 0.0)
    origins = np.full(len(paths), -1)
    origins[columns[chosen]] = rows[chosen]
    return origins


def _surprise(path: Trajectory, others: list[Trajectory], gaps_s: FloatArray) -> FloatArray:
    """Return the cost (K,) of each of K `others`, which begin `gaps_s` (K,) later, as the continuation of `path`.

    It is minus twice the logarithm of the probability density of the first state of the other, given the last of
    `path`, in units of the object's size; a new object has the density 1 per unit, whose cost is 0.
    """
    if not others:
        return np.zeros(0)
    means = np.stack([other.means[0] for other in others])
    covariances = np.stack([other.covariances[0] for other in others])
    sizes = np.sqrt(size(means) * size(path.means[-1:]))
    step = transition(gaps_s)
    # d = y - F x;  S = F P F' + Q + P_y;  cost = d' S^-1 d + ln det(S / size^2)
    residual = means - step @ path.means[-1]
    spread = step @ path.covariances[-1] @ step.swapaxes(1, 2) + motion_noise(sizes, gaps_s) + covariances
    squared = (residual * np.linalg.solve(spread, residual[:, :, None])[:, :, 0]).sum(axis=1)
    surprise: FloatArray = squared + np.linalg.slogdet(spread / sizes[:, None, None] ** 2)[1]
    return surprise


def _chains(origins: IntArray, begins: list[int]) -> list[list[int]]:
    """Return the pieces of each linked track in order of time.

    Each piece continues that in `origins` (N,), -1 for none, and `begins` in a frame (N,).
    """
    chains: list[list[int]] = []
    chain_by_piece: dict[int, list[int]] = {}
    for piece in np.argsort(begins, kind="stable").tolist():
        if origins[piece] < 0:
            chains.append([])
        chain_by_piece[piece] = chain_by_piece.get(int(origins[piece]), chains[-1])
        chain_by_piece[piece].append(piece)
    return chains


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


def _without_weak(tracks: list[MotRows], chains: list[list[int]]) -> list[tuple[MotRows, list[int]]]:
    """Return the `tracks`, with their chains, whose mean score is at least `WEAK_SHARE` of that of their class."""
    rows = MotRows.concatenate(tracks)
    means = {label: rows.scores[rows.class_ids == label].mean() for label in np.unique(rows.class_ids).tolist()}
    pairs = zip(tracks, chains, strict=True)
    return [pair for pair in pairs if pair[0].scores.mean() >= WEAK_SHARE * means[int(pair[0].class_ids[0])]]


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
