"""Makes finished tracks better than any tracker can while it runs: what came later is known now."""

from __future__ import annotations

from itertools import count, pairwise

import numpy as np

from trackers.linking import link
from trackers.mot import MotRows
from trackers.smoothing import BOX, Sightings, Trajectory, smooth
from trackers.stabilise import Stabiliser
from trackers.types import FloatArray, IntArray

SHORT_GAP_S = 0.3  # hidden for longer, a track may be another's when it is seen again
MAX_HIDDEN_S = 1.5  # between tracks that are joined, and of gaps that are filled
WEAK_SHARE = 0.6  # of the mean score of its class: what scores less on the whole is no object


def refine(rows: MotRows, *, frame_rate: float, camera_motion: FloatArray | None = None) -> MotRows:
    """Return the finished tracks `rows` joined, cleared, smoothed and without gaps, by frame and within a frame by id.

    `rows` are best the detections that support tracks, as `track_frames` returns them when `measured`: where a tracker
    predicted, more is known afterwards (HOTA on MOT17 73.2, with predicted rows 72.3). `frame_rate` is in Hz.
    `camera_motion` f64 (F, 2, 3) in px is what `trackers.mot.read_camera_motion` returns; without it the camera stands.

    - Tracks are cut where they were hidden, and all pieces are linked anew by their motion: `trackers.linking`.
    - Tracks that score much less than others of their class are left out.
    - Boxes are smoothed, in one image where the camera stands: `trackers.smoothing`.
    - Gaps of up to `MAX_HIDDEN_S` are filled with boxes that carry the score of the last detection.

    All rows of a track have the class of its last one. A track keeps the id that it began with; what was cut off from
    it has a new one. Raises ValueError for two rows of one track in a frame, a frame rate that is none, and camera
    motion that ends before the tracks or cannot be undone.
    """
    _check(rows, frame_rate)
    if not len(rows.frames):
        return rows
    camera = Stabiliser(camera_motion, int(rows.frames.max()))
    pieces = _pieces(rows, SHORT_GAP_S * frame_rate)
    paths = [smooth(_sightings(piece, camera), frame_rate) for piece in pieces]
    ids, class_ids = np.array([(piece.ids[0], piece.class_ids[0]) for piece in pieces]).T
    origins = link(paths, ids, class_ids, frame_rate=frame_rate, max_hidden_s=MAX_HIDDEN_S)
    chains = _chains(origins, [path.first for path in paths])
    tracks = _named([MotRows.concatenate([pieces[k] for k in chain]) for chain in chains])
    found = []
    for track, chain in _without_weak(tracks, chains):
        path = paths[chain[0]] if len(chain) == 1 else smooth(_sightings(track, camera), frame_rate)
        found.append(_filled(track, path, camera, MAX_HIDDEN_S * frame_rate))
    rows = MotRows.concatenate(found)
    return rows.select(np.lexsort([rows.ids, rows.frames]))


def _check(rows: MotRows, frame_rate: float) -> None:
    if not 0 < frame_rate < np.inf:
        raise ValueError(f"frame_rate must be a rate in Hz above 0, got {frame_rate}")
    places, counts = np.unique(np.stack([rows.frames, rows.ids]), axis=1, return_counts=True)
    if (counts > 1).any():
        frame, track_id = places[:, counts.argmax()].tolist()
        raise ValueError(f"expected one row of a track in a frame, found {counts.max()} of {track_id} in frame {frame}")


def _pieces(rows: MotRows, short_gap: float) -> list[MotRows]:
    """Return `rows` by track and time, a track of one class, cut where it was hidden for more than `short_gap` frames.

    Where frames were dropped, a step between those that were kept hides nobody.
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
    """Return where the `track` was seen, in the image of frame 1; a box is at least 1 px wide and high."""
    corner, opposite = track.boxes[:, :2], track.boxes[:, 2:]
    boxes = np.hstack([(corner + opposite) / 2, np.maximum(opposite - corner, 1.0)])
    return Sightings(track.frames, camera.to_first(track.frames, boxes), track.scores)


def _chains(origins: IntArray, begins: list[int]) -> list[list[int]]:
    """Return the pieces of each track, each going on from that in `origins` (N,), by the frame that it `begins` in."""
    chains: list[list[int]] = []
    chain_of: dict[int, list[int]] = {}
    for piece in np.argsort(begins, kind="stable").tolist():
        if origins[piece] < 0:
            chains.append([])
        chain_of[piece] = chain_of.get(int(origins[piece]), chains[-1])
        chain_of[piece].append(piece)
    return chains


def _named(tracks: list[MotRows]) -> list[MotRows]:
    """Return `tracks`, ordered by time, with one id each: the one that it begins with, unless an earlier one has it."""
    free_ids = count(max(int(track.ids.max()) for track in tracks) + 1)
    taken: set[int] = set()
    named = []
    for track in tracks:
        own = int(track.ids[0])
        track_id = next(free_ids) if own in taken else own
        taken.add(track_id)
        named.append(track._replace(ids=np.full_like(track.ids, track_id)))
    return named


def _without_weak(tracks: list[MotRows], chains: list[list[int]]) -> list[tuple[MotRows, list[int]]]:
    """Return the `tracks`, and their chains, whose mean score is not far below that of all rows of their class."""
    rows = MotRows.concatenate(tracks)
    means = {label: rows.scores[rows.class_ids == label].mean() for label in np.unique(rows.class_ids).tolist()}
    pairs = zip(tracks, chains, strict=True)
    return [pair for pair in pairs if pair[0].scores.mean() >= WEAK_SHARE * means[int(pair[0].class_ids[0])]]


def _filled(track: MotRows, path: Trajectory, camera: Stabiliser, longest_gap: float) -> MotRows:
    """Return the `path` in the frames where the `track` was seen, and in between where at most `longest_gap` apart."""
    frames = np.arange(path.first, path.last + 1)
    before = np.searchsorted(track.frames, frames, side="right") - 1
    after = np.searchsorted(track.frames, frames)
    near = np.nonzero(track.frames[after] - track.frames[before] <= longest_gap)[0]
    frames, before = frames[near], before[near]
    boxes = camera.from_first(frames, path.means[near, BOX])
    half = boxes[:, 2:] / 2
    corners = np.hstack([boxes[:, :2] - half, boxes[:, :2] + half])
    return MotRows(frames, track.ids[before], corners, track.scores[before], track.class_ids[before])
