"""``python -m trackers DETECTIONS.txt --out TRACKS.txt``: from MOT detections to MOT tracks, without a video."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import NoReturn

import numpy as np

from trackers.config import DEFAULT_TRACKER, TRACKERS, TrackerConfig, read_config
from trackers.mot import MotRows, read_camera_motion, read_detections, with_unit_scores, write_tracks
from trackers.offline import refine, track_frames

FAILURE, BAD_INPUT = 1, 2


class _Parser(argparse.ArgumentParser):
    """A parser that prints errors as one sentence, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}; see --help\n")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with status 2 on bad input and 1 when the tracks cannot be written."""
    parser = _parser()
    args = parser.parse_args(arguments)
    try:
        print(_run(args))
    except ValueError as error:
        parser.exit(BAD_INPUT, f"{parser.prog}: {error}\n")
    except OSError as error:
        parser.exit(FAILURE, f"{parser.prog}: expected to write {args.out}, found: {error.strerror or error}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m trackers", description="Track the detections in a MOT file.")
    add = parser.add_argument
    add("detections", type=Path, help="MOT text: frame, id, x, y, width, height, confidence from 0 to 1 or in percent")
    add("--out", type=Path, required=True, help="where to write the tracks, MOT text")
    add("--tracker", default=DEFAULT_TRACKER, help=f"{', '.join(TRACKERS)} or a YAML file; default: %(default)s")
    add("--gmc", type=Path, help="camera motion: frame index from 0, 2 x 3 affine from the previous frame")
    add("--fps", type=float, default=30.0, help="frame rate in Hz; default: %(default)g")
    add("--refine", action="store_true", help="join, smooth and fill the finished tracks")
    return parser


def _run(args: argparse.Namespace) -> str:
    """Track the detections and return a summary; raises ValueError for input that cannot be used."""
    config = _config(args.tracker)
    tracker = config.build(args.fps)
    for note in config.notes:
        print(note, file=sys.stderr)
    detections = _detections(args.detections)
    camera_motion = read_camera_motion(args.gmc) if args.gmc else None
    if not args.out.resolve().parent.is_dir():
        raise ValueError(f"expected a folder for {args.out}, found none at {args.out.parent}")
    for name, path in (("detections", args.detections), ("camera motion", args.gmc), ("tracker", Path(args.tracker))):
        if path and path.exists() and args.out.exists() and args.out.samefile(path):
            raise ValueError(f"expected --out to be another file than the {name}, found {args.out}")
    start_s = time.perf_counter()
    tracks = track_frames(tracker, detections, camera_motion=camera_motion, measured=args.refine)
    took_s = time.perf_counter() - start_s
    if args.refine:
        tracks = refine(tracks, frame_rate=args.fps, camera_motion=camera_motion)
    write_tracks(args.out, tracks)
    frames = int(detections.frames.max(initial=0))
    count = len(np.unique(tracks.ids))
    return f"{args.out}: {frames} frames, {count} tracks, {1000 * took_s / max(frames, 1):.2f} ms per frame to track"


def _config(name_or_path: str) -> TrackerConfig:
    config = read_config(name_or_path)
    if config.image_options.get("with_reid"):
        raise ValueError(f"{name_or_path}: expected a tracker that needs no image, found with_reid: true")
    return config


def _detections(path: Path) -> MotRows:
    detections, sentence = with_unit_scores(read_detections(path), path)
    if sentence:
        print(sentence, file=sys.stderr)
    return detections


if __name__ == "__main__":
    main()
