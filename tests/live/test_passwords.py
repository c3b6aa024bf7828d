"""A password in an address opens the camera, and is printed nowhere: in no error, warning, name or traceback."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from streamdet.errors import InputError, SourceError, shown, without_passwords
from streamdet.pipeline.pipeline import Pipeline
from streamdet.video.source import open_source
from tests.live.rtsp_server import RtspServer, Viewer
from tests.live.viewing import BRIEF_S
from tests.pipeline.fakes import FakeSession

SECRET = "s3cr3t"
# What an address looks like, and how it is printed.
ADDRESSES = {
    "rtsp://user:s3cr3t@camera:554/one@two": "rtsp://camera:554/one@two",
    "rtsp://user:p%40s3cr3t@camera/1": "rtsp://camera/1",
    "rtsp://user:p@s3cr3t@camera/1": "rtsp://camera/1",
    "rtsp://user:p/s3cr3t@camera/1": "rtsp://…@camera/1",
    "rtsp://user:12/s3cr3t@10.0.0.2/1": "rtsp://…@10.0.0.2/1",
    "rtsp://user:p?s3cr3t#x@camera/1": "rtsp://…@camera/1",
    "rtsp://user:p@s3cr3t/x@camera/1": "rtsp://…@camera/1",
    "rtsp:/user:s3cr3t@camera/1": "rtsp:/camera/1",
    "rtsp://user:s3cr3t@[fe80::1]:554/1": "rtsp://[fe80::1]:554/1",
    "rtsp://camera/1?channel=2&password=s3cr3t&subtype=0": "rtsp://camera/1?channel=2&password=…&subtype=0",
    "http://camera/1.cgi?usr=x&pwd=/s3cr3t": "http://camera/1.cgi?usr=x&pwd=…",
    "rtsp://camera/user=x_password=s3cr3t_channel=1.sdp": "rtsp://camera/user=x_password=…",
    "https://host/live.m3u8?Access-Token=s3cr3t": "https://host/live.m3u8?Access-Token=…",
    "srt://10.0.0.2:90?mode=caller&passphrase=s3cr3t": "srt://10.0.0.2:90?mode=caller&passphrase=…",
    "https://host/@user/live.m3u8": "https://host/@user/live.m3u8",
    "rtsp://10.0.0.2:554/one@two": "rtsp://10.0.0.2:554/one@two",
    "rtsp://camera/1?channel=2": "rtsp://camera/1?channel=2",
    "12:30@home.mp4": "12:30@home.mp4",
}


@pytest.mark.parametrize(("address", "printed"), ADDRESSES.items())
def test_an_address_is_printed_without_what_grants_access(address: str, printed: str) -> None:
    assert without_passwords(address) == printed
    assert without_passwords(f"expected {address} to go on") == f"expected {printed} to go on"
    assert shown(address) == repr(printed)
    assert str(InputError(f"found {address}")) == f"found {printed}"


def test_a_long_password_is_left_out_before_a_value_is_cut() -> None:
    assert SECRET not in shown(f"rtsp://user:{20 * SECRET}@{'x' * 100}")


@pytest.mark.parametrize("part", ["x", "pass", "://", "a@", "key=", "&", "a.", ":/x@y/", "token=/"])
def test_a_long_text_takes_no_long_time(part: str) -> None:
    """Its time is linear in its length; were it quadratic, this would take hours."""
    assert len(without_passwords(300_000 * part)) <= 300_000 * len(part)


def endings() -> dict[str, Callable[[Viewer], object]]:
    """Return ways in which a stream ends, by name."""
    return {"ends": Viewer.close, "is silent": lambda viewer: None}


@pytest.mark.parametrize("ending", endings())
@pytest.mark.parametrize("place", ["user:s3cr3t@{}/live", "{}/live?password=s3cr3t", "{}/user=x_password=s3cr3t_1.sdp"])
def test_a_camera_is_named_without_its_password(place: str, ending: str) -> None:
    def script(viewer: Viewer) -> None:
        viewer.send(range(30))
        endings()[ending](viewer)

    with RtspServer(script) as server, Pipeline.from_session(FakeSession()) as pipeline:
        run = pipeline.run(f"rtsp://{place.format(server.address)}", timeout_s=BRIEF_S)
        names = {run.source_id}
        with pytest.raises(SourceError) as caught:
            names |= {result.frame.source_id for result in run}
    printed = "".join(traceback.format_exception(caught.value))
    assert SECRET not in f"{printed} {names} {run.source_id} {run.warnings}"
    assert server.address in run.source_id


@pytest.mark.parametrize(
    "address",
    ["rtsp://user:s3cr3t@127.0.0.1:1/1", "rtsp://user:p/s3cr3t@127.0.0.1:1/1", "http://127.0.0.1:1/?key=s3cr3t"],
)
def test_a_camera_that_cannot_be_opened_is_named_without_its_password(address: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(address, timeout_s=0.5)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("address", ["user:s3cr3t@camera/1", "user:p/s3cr3t@camera/1", "rtsp:/user:s3cr3t@camera/1"])
def test_an_address_without_its_scheme_is_shown_without_its_password(address: str) -> None:
    with pytest.raises(InputError, match=r"found nothing at '.*camera/1'") as caught:
        open_source(address)
    assert SECRET not in str(caught.value)


def test_a_command_prints_no_password_not_even_in_a_traceback(
    streamdet: Callable[..., str], tmp_path: Path, tiny_weights: Path
) -> None:
    address = "rtsp://user:s3cr3t@127.0.0.1:1/1"
    printed = streamdet("track", address, "--model", tiny_weights, "--tracks", tmp_path / "a.txt", "--debug", code=2)
    assert "Traceback" in printed
    assert "error: expected a video stream at rtsp://127.0.0.1:1/1, but nothing listens there" in printed
    assert SECRET not in printed
