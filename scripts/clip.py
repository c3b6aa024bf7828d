"""Renders the clip that ``make run`` tracks, with its ground truth: ``python -m scripts.clip [FOLDER]``.

The folder is a sequence of the MOTChallenge, ``gt/gt.txt`` and ``seqinfo.ini``, with the video beside them.
"""

import argparse
from pathlib import Path

from streamdet import open_source
from streamdet.scene.scene import Scene, parse_scene_url
from streamdet.scene.truth import CLASS_NAMES, write_mot_truth
from streamdet.video.sink import VideoSink

URL = "scene://street?seed=32&seconds=10&size=768x432&fps=25"
FOLDER = Path(__file__).resolve().parents[1] / "demo" / "street"


def main(folder: Path) -> None:
    """Write video and labels to `folder`; people and vehicles count alike."""
    write_mot_truth(Scene(parse_scene_url(URL)), folder, range(len(CLASS_NAMES)))
    with open_source(URL) as frames, VideoSink(folder / "street.mp4", info=frames.info) as video:
        for frame in frames:
            video.write(frame.image, frame.pts, frame.time_base)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=f"Render {URL} with its ground truth.")
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER, help="default: %(default)s")
    main(parser.parse_args().folder)
