"""Cameras in processes of their own: real ones, that are killed, hang, fail, and lose their server."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamdet.errors import InputError, StreamdetError
from streamdet.files import EMBEDDED_MODEL
from streamdet.options import ModelOptions
from streamdet.pipeline.pipeline import Pipeline
from streamdet.serve import remote
from streamdet.serve.events import Event
from streamdet.serve.local import InProcess
from streamdet.serve.options import CameraSite, Zone
from streamdet.serve.remote import Worker, Workers
from streamdet.serve.server import Server
from streamdet.serve.site import Site
from streamdet.serve.watch import Host, State, Status
from streamdet.tracking.state import read_state
from streamdet.types import UInt8Array
from streamdet.video.source import open_source
from tests.serve.lives import failing_later, silent, stuck_at_first, stuck_for_good

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
    pytest.mark.timeout(300),
]

STREET = Path(__file__).resolve().parents[2] / "demo" / "street" / "street.mp4"
PATIENCE_S = 120.0  # a process loads its model, on a machine that may be busy
MODEL = ModelOptions(model=EMBEDDED_MODEL, device="cpu")
LEFT = Zone("left", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
COUNT = 6  # images of a camera, at 2 Hz so that none is dropped


def until(condition: Callable[[], Any]) -> Any:
    """Wait until `condition` is true, and return what it returned."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    return found


def children(pid: int) -> list[int]:
    """Return the processes that the process `pid` has started with multiprocessing, without their zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and b"spawn_main" in (entry / "cmdline").read_bytes():
                status = (entry / "status").read_text()
                if re.search(rf"^PPid:\t{pid}$", status, re.MULTILINE) and "State:\tZ" not in status:
                    found.append(int(entry.name))
        except OSError:
            continue  # it has ended meanwhile
    return sorted(found)


def runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def status(server: Server, name: str) -> Status:
    return next(each for each in server.status() if each.name == name)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first images of the street, as a folder."""
    folder = tmp_path_factory.mktemp("street")
    with open_source(STREET, max_frames=COUNT) as frames:
        for frame in frames:
            cv2.imwrite(str(folder / f"{frame.index}.png"), frame.image[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def two() -> Iterator[Workers]:
    with Workers(2, MODEL) as workers:
        yield workers


def camera(name: str, images: Path, **options: Any) -> CameraSite:
    return CameraSite(name=name, source=str(images), fps=2.0, size=320, **options)


def pictures(folder: Path, name: str) -> list[UInt8Array]:
    """Return the first recorded pictures of a camera."""
    (path,) = folder.glob(f"{name}-*.mp4")
    with open_source(path, max_frames=COUNT) as frames:
        return [frame.image for frame in frames]


def recorded(host: Host, images: Path, folder: Path) -> tuple[dict[str, list[UInt8Array]], list[Event]]:
    """Return what is recorded of two cameras, and the events of the first."""
    names = ("a", "b")
    with Server(Site(cameras=tuple(camera(name, images) for name in names)), host) as server:
        until(lambda: server.status()[0].results and server.status()[1].results)  # their input size is compiled now
    told: list[Event] = []
    cameras = tuple(camera(name, images, record=folder, zones=(LEFT,)) for name in names)
    with Server(Site(cameras=cameras), host, told.append) as server:
        until(lambda: all(each.results > COUNT for each in server.status()))
        assert [each.dropped for each in server.status()] == [0, 0]
        for name in names:
            watch = server.watch(name)
            shown = watch and watch.jpeg()
            assert shown and shown.startswith(b"\xff\xd8")
    return {name: pictures(folder, name) for name in names}, [each for each in told if each.camera == "a"]


def test_results_are_those_of_one_process(two: Workers, images: Path, tmp_path: Path) -> None:
    there, events_there = recorded(two, images, tmp_path / "there")
    with Pipeline.from_options(MODEL) as pipeline:
        here, events_here = recorded(InProcess(pipeline), images, tmp_path / "here")
    with open_source(images) as frames:
        plain = next(frames).image
    assert np.abs(here["a"][-1].astype(int) - plain).max() > 100  # something is drawn on it
    for name in here:  # they are coded with other numbers of threads
        for one, other in zip(here[name], there[name], strict=True):
            assert np.abs(one.astype(int) - other).mean() < 2
    happened = [
        [(each.kind, each.zone, each.track_id, each.class_name) for each in told]
        for told in (events_there, events_here)
    ]
    first = min(map(len, happened))  # the cameras go on, for a different time
    assert {kind for kind, *_ in happened[0][:first]} >= {"new", "entered"}
    assert happened[0][:first] == happened[1][:first]


def test_a_killed_process_is_begun_again_with_its_cameras(two: Workers, images: Path, tmp_path: Path) -> None:
    state = tmp_path / "a.state"
    with Server(Site(cameras=(camera("a", images, state=str(state)), camera("b", images))), two) as server:
        until(lambda: all(each.state is State.LIVE for each in server.status()))
        until(lambda: newest_id(state))
        before, id_before, processes = server.status(), newest_id(state), children(os.getpid())
        assert len(processes) == 2
        os.kill(processes[0], signal.SIGKILL)
        lost = until(lambda: [each for each in server.status() if each.state is State.LOST])
        assert [each.why for each in lost] == ["its process was killed by signal 9"]
        ((other,),) = [[each for each in before if each.name != lost[0].name]]
        assert status(server, other.name).since_unix_s == other.since_unix_s
        until(lambda: all(each.state is State.LIVE for each in server.status()))
        until(lambda: status(server, lost[0].name).results > lost[0].results)
        assert len(set(children(os.getpid())) - set(processes)) == 1
        assert newest_id(state) >= id_before
        server.add(camera("c", images))
        until(lambda: status(server, "c").state is State.LIVE)
        server.remove("c")
        assert [each.name for each in server.status()] == ["a", "b"]


def newest_id(path: Path) -> int:
    """Return the highest id that was given, by a saved state."""
    state = read_state(path) if path.exists() else None
    return int(state.tracker["counters"][1]) if state else 0


def test_a_model_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    before = children(os.getpid())
    with pytest.raises(InputError, match=r"no\.pt"):
        Workers(1, ModelOptions(model=tmp_path / "no.pt"))
    assert children(os.getpid()) == before


@pytest.fixture
def worker_of(tmp_path: Path) -> Iterator[Callable[[Any], Worker]]:
    begun: list[Worker] = []

    def begin(loop: Any) -> Worker:
        begun.append(Worker(ModelOptions(model=tmp_path / "lives"), loop))
        begun[0].begun.result(PATIENCE_S)
        return begun[0]

    before = children(os.getpid())
    yield begin
    begun[0].stop()
    begun[0].join(0.0)
    assert children(os.getpid()) == before


def test_a_process_with_three_threads_left_behind_is_begun_again(
    worker_of: Callable[[Any], Worker], tmp_path: Path
) -> None:
    worker = worker_of(stuck_at_first)
    watch = remote.RemoteWatch(CameraSite(name="a", source="0"), worker, print)
    watch.start()
    until(lambda: len((tmp_path / "lives").read_text()) == 2)
    assert watch.status().why == "its process began again, since 3 of its threads did not return"


def test_a_process_that_does_not_end_in_order_is_killed(
    worker_of: Callable[[Any], Worker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "END_S", 0.1)
    worker_of(stuck_for_good)
    until(lambda: len((tmp_path / "lives").read_text()) == 2)


def test_a_silent_process_is_killed(worker_of: Callable[[Any], Worker], tmp_path: Path) -> None:
    worker = worker_of(silent)
    watch = remote.RemoteWatch(CameraSite(name="a", source="0"), worker, print)
    watch.start()
    assert not watch.release_if_stuck(time.monotonic())
    assert watch.release_if_stuck(time.monotonic() + remote.SILENT_S + 1)
    until(lambda: len((tmp_path / "lives").read_text()) == 2)
    assert watch.status().why == "its process did not answer for 30 s"


def test_a_model_that_fails_later_is_tried_again(worker_of: Callable[[Any], Worker], tmp_path: Path) -> None:
    before = children(os.getpid())
    worker = worker_of(failing_later)
    watch = remote.RemoteWatch(CameraSite(name="a", source="0"), worker, print)
    watch.start()
    (process,) = set(children(os.getpid())) - set(before)
    os.kill(process, signal.SIGKILL)
    until(lambda: len((tmp_path / "lives").read_text()) == 3)
    assert watch.status().why == "too little memory"


def served(folder: Path, images: Path) -> tuple[subprocess.Popen[str], str]:
    """Begin ``streamdet serve`` with two workers, and return it and its address, once its camera is live."""
    site = folder / "site.yaml"
    site.write_text(f"server: {{port: 0}}\nsize: 320\nfps: 2\ncameras:\n  a: {{source: {images}}}\n")
    command = [sys.executable, "-m", "streamdet", "serve", str(site), "--workers", "2"]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert running.stdout is not None
    match = re.search(r"http://127\.0\.0\.1:\d+/", running.stdout.readline())
    assert match
    until(lambda: states(match[0]) == {"a": "live"})
    return running, match[0]


def asked(url: str, method: str = "GET", body: object = None) -> Any:
    """Return what the server answers, JSON."""
    request = urllib.request.Request(url, method=method, data=json.dumps(body).encode() if body else None)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read() or "null")


def states(url: str) -> dict[str, str]:
    return {each["name"]: each["state"] for each in asked(f"{url}cameras")}


def test_ctrl_c_ends_a_site_in_order(images: Path, tmp_path: Path) -> None:
    running, url = served(tmp_path, images)
    try:
        asked(f"{url}cameras", "POST", {"name": "b", "source": str(images), "fps": 2.0, "size": 320})
        until(lambda: states(url) == {"a": "live", "b": "live"})
        with (tmp_path / "site.yaml").open("a") as file:
            file.write(f"  c: {{source: {images}}}\n")
        running.send_signal(signal.SIGHUP)
        until(lambda: states(url) == {"a": "live", "c": "live"})
        asked(f"{url}cameras/c", "DELETE")
        assert states(url) == {"a": "live"}
        workers = children(running.pid)
        assert len(workers) == 2
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
        printed = running.communicate(timeout=PATIENCE_S)[1]
    finally:
        running.kill()
    assert running.returncode == 0
    assert "Traceback" not in printed and "did not end" not in printed
    assert not any(map(runs, workers))


def test_no_process_outlives_its_server(images: Path, tmp_path: Path) -> None:
    running, _ = served(tmp_path, images)
    workers = children(running.pid)
    running.kill()
    running.communicate()
    assert len(workers) == 2
    until(lambda: not any(map(runs, workers)))


class NoRoom:
    """A machine that cannot begin another process."""

    def Pipe(self) -> None:  # noqa: N802, as in multiprocessing
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def test_a_machine_without_room_for_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_SPAWN", NoRoom())
    with pytest.raises(StreamdetError, match="expected another process, but resource temporarily unavailable"):
        Workers(1, MODEL)
