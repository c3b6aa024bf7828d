"""The site file: options per camera, secrets, and errors that name the line."""

from pathlib import Path

import pytest

from streamdet.cli.app import run_command
from streamdet.errors import InputError
from streamdet.serve.options import HostOptions, WatchOptions, Zone
from streamdet.serve.site import EXAMPLE, read_site, site_from_sources
from streamdet.values import Keep


def written(folder: Path, text: str) -> Path:
    path = folder / "site.yaml"
    path.write_text(text)
    return path


def test_the_example_is_a_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "s3cr:t/word")
    site = read_site(written(tmp_path, EXAMPLE))
    assert site.model.model == "yolov8n.pt"
    assert (site.server.host, site.server.port, site.server.token) == ("127.0.0.1", 8090, None)
    door, yard = site.cameras
    assert door.source == "rtsp://user:s3cr%3At%2Fword@192.168.1.20/stream1"
    assert (door.classes, door.size, door.conf) == (["person"], 640, 0.1)
    assert (yard.classes, yard.size, yard.conf) == (["person", "car"], 416, 0.2)
    assert (yard.record, yard.segment_s, yard.keep) == (tmp_path / "recordings", 600.0, Keep(age_s=7 * 86400.0))
    assert door.record is None
    assert door.zones == (Zone("mat", ((0.3, 0.6), (0.7, 0.6), (0.8, 1.0), (0.2, 1.0)), ("person",)),)
    assert yard.zones == ()
    assert site.events == tmp_path / "events.jsonl"
    assert door.state == str(tmp_path / "state" / "door.state")


def test_secrets_are_in_no_text(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text("# of the door\nexport DOOR='s3cr:t/word'\nSHORT=ab\n")
    site = read_site(
        written(tmp_path, "secrets: secrets.env\ncameras: {a: {source: 'rtsp://u:{DOOR}@h/x?key={DOOR}&k={SHORT}'}}")
    )
    camera = site.cameras[0]
    assert camera.source == "rtsp://u:s3cr%3At%2Fword@h/x?key=s3cr%3At%2Fword&k=ab"
    assert "s3cr" not in site.without_secrets(camera.shown_source)
    assert site.without_secrets("no answer of s3cr:t/word") == "no answer of {DOOR}"
    assert site.without_secrets("no answer of s3cr%3At%2Fword") == "no answer of {DOOR}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cameras:\n  a:\n    source: '0'\n    cnof: 0.3\n", "line 4: cameras.a.cnof: unknown key 'cnof'; did you"),
        ("cameras:\n  a:\n    source: '0'\n    conf: 3\n", "line 4: cameras.a.conf: conf must be between 0 and"),
        ("cameras:\n  a: {conf: 0.3}\n", "line 2: cameras.a: expected source, found none"),
        ("cameras:\n  a/b: {source: '0'}\n", "line 2: cameras.a/b: expected a name of letters"),
        ("camras: {}\n", "line 1: camras: unknown key; did you mean 'cameras'?"),
        ("cameras:\n- a\n", "line 1: cameras: expected cameras by name, found"),
        ("cameras:\n  a: {source: 'rtsp://{NO_SUCH}@h'}\n", "line 2: cameras.a.source: expected NO_SUCH in"),
        ("server: {host: 0.0.0.0}\ncameras: {}\n", "line 1: server.host: expected a token for a server at '0.0.0.0'"),
        ("server: {port: 70000}\n", "line 1: server.port: port must be between 0 and 65535, got 70000"),
        ("batch: 0\n", "line 1: batch: batch must be at least 1, got 0"),
        ("conf: 2\ncameras:\n  a: {source: '0'}\n", "cameras.a.conf: conf must be between 0 and 1, got 2"),
        ("cameras:\n  a: {source: '0', refine: true}\n", "a.refine: expected a camera without an end"),
        ("cameras:\n  a: {source: '0', max_frames: 9}\n", "a.max_frames: expected a camera without an end"),
        ("cameras:\n  a: {source: '0', reconnect: 9}\n", "line 2: cameras.a.reconnect: unknown key"),
        ("workers: 0\ncameras:\n  a: {source: '0'}\n", "line 1: workers: workers must be between 1 and 64, got 0"),
        ("cameras:\n  a: {source: '0', zones: {gate: {}}}\n", "a.zones.gate: expected at least three"),
        ("cameras:\n  a: {source: '0', zones: {g: [[0, 1]]}}\n", "a.zones.g: expected the keys of a zone"),
        ("cameras:\n  a: {source: '0', zones: {g: {point: []}}}\n", "unknown key 'point'; did you mean 'points'?"),
        ("cameras:\n  a: {source: '0', zones: {g: {points: [[0, b]]}}}\n", "zones.g: expected points of two"),
        ("cameras:\n  a: {source: '0', zones: {g: {coordinates: '0,0,1'}}}\n", "zones.g: expected points of two"),
        ("secrets: gone.env\n", "line 1: secrets: "),
    ],
)  # fmt: skip
def test_errors_name_the_line_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_site(written(tmp_path, text))
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "site.yaml"))


def test_a_token_lets_others_in(tmp_path: Path) -> None:
    text = "server: {host: 0.0.0.0, token: abc}\ncameras: {a: {source: '0', objects: {track: [person]}}}"
    site = read_site(written(tmp_path, text))
    assert site.server.token == "abc"
    assert site.cameras[0].classes == ["person"]


def test_cameras_of_the_command_line_have_a_state_each() -> None:
    site = site_from_sources(("0", "rtsp://a"), WatchOptions(state="ids", conf=0.3), HostOptions(workers=2))
    assert [(each.name, each.source, each.state, each.conf) for each in site.cameras] == [
        ("camera-1", "0", "ids/camera-1.state", 0.3),
        ("camera-2", "rtsp://a", "ids/camera-2.state", 0.3),
    ]
    assert site.model.workers == 2


@pytest.mark.parametrize("option", ["--max-frames=3", "--reconnect=5", "--refine"])
def test_options_that_end_a_run_are_none_of_the_command(option: str) -> None:
    with pytest.raises(InputError, match=option.split("=")[0]):
        run_command(["serve", "0", option])
