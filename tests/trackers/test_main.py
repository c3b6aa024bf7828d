"""``python -m trackers``: the files it reads and writes, and how it refuses what it cannot use."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from trackers.__main__ import main
from trackers.mot import read_detections

YAML = "tracker_type: bytetrack\ntrack_high_thresh: 0.95\nnew_track_thresh: 0.95\n"
UNDER_WAY = [*range(1, 11), *range(16, 26)]


@pytest.fixture
def detections(tmp_path: Path) -> Path:
    """A person that walks 4 px per frame through frames 1 to 25, unseen in 11 to 15, and is scored 0.9."""
    path = tmp_path / "det.txt"
    path.write_text("".join(f"{frame},-1,{100 + 4 * frame},50,40,100,0.9\n" for frame in UNDER_WAY))
    return path


def run(*arguments: object) -> None:
    main([str(argument) for argument in arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the only line that is printed when the arguments are refused as bad input."""
    with pytest.raises(SystemExit) as left:
        run(*arguments)
    assert left.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    return line


def test_a_file_of_detections_becomes_a_file_of_tracks(detections: Path, tmp_path: Path) -> None:
    out = tmp_path / "tracks.txt"
    command = [sys.executable, "-m", "trackers", str(detections), "--out", str(out), "--tracker", "botsort"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.fullmatch(rf"{out}: 25 frames, 1 tracks, \d+\.\d\d ms per frame to track\n", done.stdout)
    assert done.stderr == ""
    tracks = read_detections(out)
    assert_array_equal(tracks.frames, UNDER_WAY)
    assert {line.split(",")[1] for line in out.read_text().splitlines()} == {"1"}


def test_refined_tracks_have_no_gap(detections: Path, tmp_path: Path) -> None:
    run(detections, "--out", tmp_path / "tracks.txt", "--refine")
    tracks = read_detections(tmp_path / "tracks.txt")
    assert_array_equal(tracks.frames, np.arange(1, 26))
    np.testing.assert_allclose(tracks.boxes[:, 0], 100 + 4 * tracks.frames, atol=0.5)


def test_a_yaml_file_sets_the_tracker(detections: Path, tmp_path: Path) -> None:
    (tmp_path / "strict.yaml").write_text(YAML)
    run(detections, "--out", tmp_path / "tracks.txt", "--tracker", tmp_path / "strict.yaml")
    assert (tmp_path / "tracks.txt").read_text() == ""


def test_camera_motion_keeps_a_track_through_a_pan(tmp_path: Path) -> None:
    """A camera that pans by two of a person's widths in every frame."""
    (tmp_path / "det.txt").write_text("".join(f"{frame},-1,{80 * frame},50,40,100,0.9\n" for frame in range(1, 11)))
    (tmp_path / "gmc.txt").write_text("".join(f"{frame} 1 0 80 0 1 0\n" for frame in range(10)))
    out = tmp_path / "tracks.txt"
    run(tmp_path / "det.txt", "--out", out, "--gmc", tmp_path / "gmc.txt", "--tracker", "botsort")
    ids = [line.split(",")[1] for line in out.read_text().splitlines()]
    assert ids == ["1"] * 10
    run(tmp_path / "det.txt", "--out", out, "--tracker", "botsort")
    assert len(out.read_text().splitlines()) == 1


def test_the_frame_rate_says_how_long_a_lost_track_lives(tmp_path: Path) -> None:
    frames = [*range(1, 11), *range(31, 41)]  # hidden for 20 frames
    (tmp_path / "det.txt").write_text("".join(f"{frame},-1,100,50,40,100,0.9\n" for frame in frames))
    for rate_hz, expected in ((30, {"1"}), (5, {"1", "2"})):
        run(tmp_path / "det.txt", "--out", tmp_path / "tracks.txt", "--tracker", "bytetrack", "--fps", rate_hz)
        assert {line.split(",")[1] for line in (tmp_path / "tracks.txt").read_text().splitlines()} == expected


def test_no_detections_are_no_tracks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "det.txt").touch()
    run(tmp_path / "det.txt", "--out", tmp_path / "tracks.txt", "--refine")
    assert (tmp_path / "tracks.txt").read_text() == ""
    assert "0 frames, 0 tracks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--tracker", "bottsort"],
            "expected a tracker's name or YAML file, found 'bottsort'; did you mean 'botsort'?",
        ),
        (["--gmc", "none.txt"], "expected a text file at none.txt, found: No such file or directory"),
        (["--fps", "0"], "frame_rate must be a rate in Hz above 0, got 0.0"),
        (["--fps", "fast"], "argument --fps: invalid float value: 'fast'; see --help"),
        (["--stride", "2"], "unrecognized arguments: --stride 2; see --help"),
    ],
)
def test_bad_options_are_refused_in_one_sentence(
    detections: Path, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    out = detections.with_name("tracks.txt")
    assert refused(capsys, detections, "--out", out, *options) == f"python -m trackers: {sentence}"
    assert not out.exists()


def test_bad_files_are_refused_in_one_sentence(
    detections: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tracks.txt"
    assert "the following arguments are required: --out" in refused(capsys, detections)
    assert "expected a text file" in refused(capsys, tmp_path / "none.txt", "--out", out)
    assert "expected a folder" in refused(capsys, detections, "--out", tmp_path / "none" / "tracks.txt")
    assert "another file than the detections" in refused(capsys, detections, "--out", detections)
    motion, settings = tmp_path / "gmc.txt", tmp_path / "own.yaml"
    motion.write_text("0 1 0 0 0 1 0\n")
    settings.write_text("tracker_type: sort\n")
    given = ["--gmc", motion, "--tracker", settings]
    for name, path in (("camera motion", motion), ("tracker", settings)):
        out.hardlink_to(path)
        assert f"another file than the {name}" in refused(capsys, detections, *given, "--out", out)
        out.unlink()
    (tmp_path / "gmc.txt").write_text("0 1 0 0 0 1 0\n")
    assert "up to frame 25, found 1" in refused(capsys, detections, "--out", out, "--gmc", tmp_path / "gmc.txt")
    (tmp_path / "reid.yaml").write_text("tracker_type: botsort\nwith_reid: true\n")
    assert "needs no image" in refused(capsys, detections, "--out", out, "--tracker", tmp_path / "reid.yaml")
    (tmp_path / "logits.txt").write_text("1,-1,1,2,3,4,0.9\n1,-1,1,2,3,4,1.2\n")
    assert "confidences from 0 to 1 in" in refused(capsys, tmp_path / "logits.txt", "--out", out)
    assert not out.exists()


def test_percentages_give_the_tracks_of_shares_and_a_sentence(
    detections: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    percent = tmp_path / "percent.txt"
    percent.write_text(detections.read_text().replace(",0.9\n", ",90\n"))
    run(detections, "--out", tmp_path / "shares.txt")
    assert capsys.readouterr().err == ""
    run(percent, "--out", tmp_path / "tracks.txt")
    sentence = f"{percent}: confidences up to 90 are taken for percentages, and divided by 100\n"
    assert capsys.readouterr().err == sentence
    assert (tmp_path / "tracks.txt").read_text() == (tmp_path / "shares.txt").read_text()


@pytest.mark.parametrize("options", [[], ["--refine"], ["--tracker", "sort"]])
def test_frame_numbers_that_are_time_stamps_take_no_time_for_empty_frames(
    tmp_path: Path, options: list[str], data: Path
) -> None:
    run(data / "cases" / "unixtime.txt", "--out", tmp_path / "tracks.txt", *options)
    assert set(read_detections(tmp_path / "tracks.txt").frames.tolist()) <= {1690000001, 1690000002}
    assert len(read_detections(tmp_path / "tracks.txt").frames) >= 2 * (options != ["--tracker", "sort"])


def test_tracks_that_cannot_be_written_are_a_failure(
    detections: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trackers.__main__.write_tracks", full_disk)
    with pytest.raises(SystemExit) as left:
        run(detections, "--out", tmp_path / "tracks.txt")
    assert left.value.code == 1
    assert capsys.readouterr().err.endswith("tracks.txt, found: No space left on device\n")
