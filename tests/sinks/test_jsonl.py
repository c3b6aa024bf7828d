"""JSON lines: the header of the run, and an object for every frame."""

import json
import time
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import streamdet
from streamdet.files import EMBEDDED_MODEL
from streamdet.options import RunOptions, TrackOptions
from streamdet.rows import Amendment
from streamdet.sinks.formats import open_track_sink
from streamdet.sinks.header import TracksHeader
from streamdet.types import VideoInfo
from tests.sinks.results import result, write

INFO = VideoInfo(1920, 1080, Fraction(30000, 1001), 750, live=False)


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    header, *lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return header, lines


def test_a_line_for_every_frame(tmp_path: Path) -> None:
    lines = read(write(tmp_path / "t.jsonl"))[1]
    assert [(line["frame"], len(line["tracks"])) for line in lines] == [(0, 2), (1, 0), (2, 1)]
    assert lines[2]["time_s"] == pytest.approx(2 * 1001 / 30000)
    assert [track["predicted"] for track in lines[0]["tracks"]] == [False, True]
    assert lines[2]["tracks"][0] == {
        "id": 2,
        "box": [10.13, 20.0, 30.5, 60.0],
        "score": 0.8765,
        "class_id": 1,
        "class_name": "Auto, rot",
        "predicted": False,
    }


def test_amendments_are_in_the_line_of_the_frame_that_shows_them(tmp_path: Path) -> None:
    plain, path = result(0, [8]), tmp_path / "t.jsonl"
    told = Amendment("same", (3, 8)), Amendment("swapped", (8, 9), 4.2)
    amended = replace(plain, tracks=replace(plain.tracks, amendments=told))
    with open_track_sink(path) as sink:
        sink.write(plain)
        sink.write(amended)
    first, second = read(path)[1]
    assert "amendments" not in first
    assert second["amendments"] == [
        {"kind": "same", "ids": [3, 8]},
        {"kind": "swapped", "ids": [8, 9], "since_s": 4.2},
    ]


def test_the_header_tells_the_run(tmp_path: Path) -> None:
    options = TrackOptions(sources=("a.mp4",), model="m.pt", classes=["person"], size=(384, 640), state=Path("s"))
    header = read(write(tmp_path / "t.jsonl", header=TracksHeader.from_source("a.mp4", INFO, options)))[0]
    assert list(header)[:3] == ["streamdet_tracks", "version", "source"]
    recorded = header.pop("options")
    assert header == {
        "streamdet_tracks": 1,
        "version": streamdet.__version__,
        "source": "a.mp4",
        "width": 1920,
        "height": 1080,
        "rate_hz": pytest.approx(29.97003),
        "frame_count": 750,
        "live": False,
        "clock": "presentation",
        "received_at": None,
        "model": "m.pt",
        "class_names": ["person", "Auto, rot"],
    }
    chosen = {"classes": ["person"], "size": [384, 640], "state": "s", "conf": 0.1, "tracker": "streamsort", "every": 1}
    assert recorded.items() >= chosen.items()
    assert not recorded.keys() & {"out", "tracks", "draw", "show", "explains", "model", "sources"}


@pytest.mark.parametrize("model", [None, EMBEDDED_MODEL])
def test_the_embedded_model_has_a_name(model: Path | None) -> None:
    assert TracksHeader.from_source("a.mp4", INFO, TrackOptions(sources=("a.mp4",), model=model)).model == "embedded"


def test_without_a_run_the_header_tells_what_the_first_result_knows(tmp_path: Path) -> None:
    header = read(write(tmp_path / "t.jsonl"))[0]
    known = {"source": "clip", "width": 90, "height": 80, "class_names": ["person", "Auto, rot"]}
    assert header.items() >= (known | {"rate_hz": None, "model": None, "options": None}).items()


def test_a_run_of_python_has_no_options_of_a_command(tmp_path: Path) -> None:
    header = TracksHeader.from_source("a.mp4", INFO, RunOptions(conf=0.5, reid="people.onnx"))
    assert header.options is not None
    assert header.options.items() >= {"conf": 0.5, "reid": "people.onnx"}.items()
    assert header.model is None


def test_the_time_of_day_of_a_live_source_is_in_the_header(tmp_path: Path) -> None:
    live = TracksHeader.from_source("0", replace(INFO, live=True, frame_count=None), RunOptions())
    first = result(0, [1])
    three_s_ago = replace(first, frame=replace(first.frame, received_at=time.monotonic() - 3))
    before = time.time()
    with open_track_sink(tmp_path / "t.jsonl", live) as sink:
        sink.write(three_s_ago)
        sink.write(result(1, [1]))
    received_at = datetime.fromisoformat(read(tmp_path / "t.jsonl")[0]["received_at"])
    assert received_at.tzinfo is not None
    assert before - 3.1 < received_at.timestamp() < time.time() - 2.9


def test_a_run_without_results_has_a_header(tmp_path: Path) -> None:
    with open_track_sink(tmp_path / "t.jsonl", TracksHeader(source="a.mp4")):
        pass
    header, lines = read(tmp_path / "t.jsonl")
    assert (header["source"], header["class_names"], lines) == ("a.mp4", None, [])
