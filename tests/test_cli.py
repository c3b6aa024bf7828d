"""The command line: what it writes, its exit codes, and one clear sentence for everything that is wrong."""

import pickle
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from streamdet.cli.options import DemoOptions
from streamdet.cli.outputs import result_name
from streamdet.files import EMBEDDED_MODEL
from streamdet.video.source import open_source


@pytest.fixture
def clip(data: Path) -> Path:
    return data / "videos" / "one-by-one-person-detection.mp4"


def times(path: Path) -> list[float]:
    """The presentation times in s of every frame that can be decoded."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def test_a_run_writes_the_video_and_the_tracks(
    streamdet: Callable[..., str], data: Path, weights: Path, tmp_path: Path
) -> None:
    source, out, tracks = data / "videos" / "vtest.avi", tmp_path / "out.mp4", tmp_path / "tracks.txt"
    options = ["--classes", "person", "--max-frames", 12, "--stride", 3, "--imgsz", 320, "--backend", "openvino"]
    printed = streamdet("track", source, "--model", weights, "--out", out, "--tracks", tracks, *options, code=0)
    assert times(out) == times(source)[:36:3]
    frames = {int(line.split(",")[0]) for line in tracks.read_text().splitlines()}
    assert frames <= set(range(1, 37, 3))
    assert len(frames) >= 10
    assert "bottleneck: detect" in printed
    assert f"wrote {out}" in printed


def test_without_outputs_a_file_goes_to_runs(
    streamdet: Callable[..., str], clip: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    streamdet("track", clip, "--model", weights, "--max-frames", 2, "--imgsz", 320, code=0)
    assert len(times(tmp_path / "runs" / f"{clip.stem}.mp4")) == 2
    assert (tmp_path / "runs" / f"{clip.stem}.txt").exists()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("clips/street 1.mp4", "street_1"),
        ("frames/", "frames"),
        ("frames/*.jpg", "result"),
        ("frames/cam?_*.png", "cam"),
        ("https://host/live/cam.m3u8?key=a&b=c", "cam"),
    ],
)
def test_results_are_called_after_their_source(source: str, name: str) -> None:
    assert result_name(source) == name


class Hostile:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_hostile_model_does_nothing(streamdet: Callable[..., str], clip: Path, tmp_path: Path) -> None:
    victim, model = tmp_path / "victim", tmp_path / "model.pt"
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"model": Hostile(victim)}, protocol=2))
        archive.writestr("model/version", "3\n")
    printed = streamdet("track", clip, "--model", model, code=2)
    assert "error:" in printed
    assert "open" in printed
    assert not victim.exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param("{tmp}/none.mp4 {model}", "none.mp4", id="missing file"),
        pytest.param("{tmp}/empty.mp4 {model}", "empty.mp4", id="zero bytes"),
        pytest.param("{tmp}/text.mp4 {model}", "text.mp4", id="not a video"),
        pytest.param("gopher://camera/1 {model}", "gopher", id="unknown protocol"),
        pytest.param("{clip} --model {tmp}/none.pt", "none.pt", id="missing model"),
        pytest.param("{clip} --model {tmp}/text.mp4", "text.mp4", id="not a model"),
        pytest.param("{clip} {model} --classes persn", "did you mean 'person'", id="unknown class"),
        pytest.param("{clip} {model} --tracker botsrt", "did you mean 'botsort'", id="unknown tracker"),
        pytest.param("{clip} {model} --tracker {tmp}/tracker.yaml", "track_high_thresh", id="unknown tracker key"),
        pytest.param("{clip} {model} --imgsz big", "'big'", id="bad size"),
        pytest.param("{clip} {model} --imgsz 100", "stride 32", id="size off the stride"),
        pytest.param("{clip} {model} --device tpu", "'tpu'", id="unknown device"),
        pytest.param("{clip} {model} --out {tmp}/none/out.mp4", "none", id="missing folder"),
        pytest.param("{clip} {model} --out {tmp}/out.xyz", ".mp4", id="unknown ending"),
        pytest.param("{clip} {model} --tracks {tmp}/out.xyz", ".jsonl", id="unknown ending of tracks"),
        pytest.param("{clip} {model} --out {clip}", "one-by-one", id="out is the source"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    streamdet: Callable[..., str], weights: Path, clip: Path, tmp_path: Path, arguments: str, named: str
) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    (tmp_path / "tracker.yaml").write_text("tracker_type: botsort\ntrack_hihg_thresh: 0.5\n")
    before = clip.read_bytes()
    filled = [word.format(tmp=tmp_path, clip=clip, model=f"--model={weights}") for word in arguments.split()]
    printed = streamdet("track", *filled, code=2)
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    assert named in printed
    assert clip.read_bytes() == before
    assert not list(tmp_path.glob("out.*"))


def test_a_refused_video_costs_no_earlier_tracks(
    streamdet: Callable[..., str], weights: Path, clip: Path, tmp_path: Path
) -> None:
    tracks = tmp_path / "tracks.txt"
    tracks.write_text("earlier")
    streamdet("track", clip, "--model", weights, "--tracks", tracks, "--out", tmp_path / "none" / "out.mp4", code=2)
    assert tracks.read_text() == "earlier"


def test_a_runs_folder_that_cannot_be_is_one_sentence(
    streamdet: Callable[..., str], weights: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").touch()
    monkeypatch.chdir(tmp_path)
    assert "name a place with --out" in streamdet("track", clip, "--model", weights, code=2)


EMBEDDED = "no --model given: using the embedded one for person, bicycle, car, motorcycle, bus and truck\n"


def test_a_command_without_a_model_uses_the_embedded_one_and_says_so(
    streamdet: Callable[..., str], tmp_path: Path
) -> None:
    source, tracks = "scene://street?seconds=1&fps=2&size=192x108", tmp_path / "tracks.txt"
    assert EMBEDDED in streamdet("track", source, "--tracks", tracks, code=0)
    assert tracks.exists()


def test_the_demo_without_a_model_uses_the_embedded_one(
    streamdet: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[DemoOptions] = []
    monkeypatch.setattr("streamdet.cli.demo.serve", served.append)
    assert EMBEDDED in streamdet("demo", "--port", 0, code=0)
    assert served == [DemoOptions(model=EMBEDDED_MODEL, port=0)]


def test_debug_shows_the_traceback(streamdet: Callable[..., str], tmp_path: Path) -> None:
    assert "Traceback" in streamdet("track", tmp_path / "none.mp4", "--model", "x.pt", "--debug", code=2)


def test_usage_errors_exit_with_2(streamdet: Callable[..., str]) -> None:
    printed = streamdet("track", "x.mp4", "--modle", "x.pt", code=2)
    assert printed == "error: unknown option --modle; did you mean '--model'?\n"


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("yolov8n", "225 layers, 3,157,200 parameters, 3,157,184 gradients, 8.9 GFLOPs"),
        ("yolov8x.yaml", "365 layers, 68,229,648 parameters, 68,229,632 gradients, 258.5 GFLOPs"),
    ],
)
def test_model_info(streamdet: Callable[..., str], name: str, size: str) -> None:
    assert size in streamdet("model", "info", name, code=0)


def test_doctor_finds_this_installation_sound(streamdet: Callable[..., str]) -> None:
    printed = streamdet("doctor", code=0)
    assert "libx264" in printed
    assert "fail" not in printed


def test_doctor_reports_what_cannot_be_imported() -> None:
    script = (
        "import sys; sys.modules |= dict.fromkeys(['av', 'cv2', 'numpy', 'pydantic', 'torch', 'yaml'])\n"
        "sys.argv = ['streamdet', 'doctor']\n"
        "from streamdet.cli.app import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", script], timeout=60, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout.count("fail") >= 6


def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "streamdet", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_drains_and_leaves_a_video_that_plays(
    clip: Path, weights: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out, tracks = tmp_path / "out.mp4", tmp_path / "tracks.jsonl"
    running = start("track", clip, "--model", weights, "--out", out, "--tracks", tracks, "--imgsz", 320)
    while running.poll() is None and not (tracks.exists() and tracks.read_text().count("\n") > 10):
        time.sleep(0.05)
    since = time.monotonic()
    running.send_signal(number)
    printed = running.communicate(timeout=30)[1]
    assert time.monotonic() - since < 5
    assert running.returncode == 128 + number, printed
    written = tracks.read_text().count("\n") - 1  # without the header
    assert 10 <= written < 1394
    assert times(out) == times(clip)[:written]


@pytest.mark.integration
def test_a_full_disk_is_one_sentence_and_leaves_a_video_that_plays(clip: Path, weights: Path, tmp_path: Path) -> None:
    out, limit = tmp_path / "out.mp4", 400_000

    def fill_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    running = start(
        *("track", clip, "--model", weights, "--out", out, "--imgsz", 320, "--max-frames", 600), preexec_fn=fill_disk
    )
    printed = running.communicate(timeout=100)[1]
    assert running.returncode == 1, printed
    assert "error: " in printed
    assert str(out) in printed
    assert "Traceback" not in printed
    with open_source(out) as source:
        playable = [float(frame.time) for frame in source]
        assert (source.damaged, source.warnings) == (0, [])
    assert len(playable) > 20
    assert playable == times(clip)[: len(playable)]
