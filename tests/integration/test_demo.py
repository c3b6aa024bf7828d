"""``streamdet demo`` as a person meets it: real Chromium, real clips, a camera that plays a clip."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from streamdet.cli.demo import load_demo, serve
from streamdet.cli.options import DemoOptions
from streamdet.errors import InputError, MissingExtraError
from streamdet.page_options import PageOptions
from streamdet.pipeline.pipeline import Pipeline
from tests.integration.browser import start_chromium

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

FRAMES = 40
ROOT = Path(__file__).resolve().parents[2]


class Page:
    """The demo in a browser, by what a person sees and does there."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        driver.get(url)

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        # The page replaces elements while they are looked at.
        wait = WebDriverWait(self.driver, 60, 0.1, (NoSuchElementException, StaleElementReferenceException))
        return wait.until(lambda _: condition(), f"waited for {what}")

    def find(self, selector: str) -> Any:
        """Return the first element that matches; waits for it."""
        found = self.wait(lambda: self.driver.find_elements(By.CSS_SELECTOR, selector), selector)
        return found[0]

    def click(self, selector: str, text: str = "") -> None:
        def shown() -> list[Any]:
            elements = self.driver.find_elements(By.CSS_SELECTOR, selector)
            return [element for element in elements if text in element.text and element.is_displayed()]

        self.wait(shown, f"{selector} {text}")[0].click()

    def text(self, selector: str) -> str:
        return str(self.find(selector).text)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def track(self, video: Path) -> None:
        self.find("#upload input[type=file]").send_keys(str(video))
        self.find("#upload a[download]")  # appears when the upload is complete
        self.click("#track")


def cut(source: Path, target: Path, frames: int, codec: str = "h264", pixel_format: str = "yuv420p") -> Path:
    """Write `frames` frames of `source`, from one on where a person stands in the picture."""
    with av.open(str(source)) as opened, av.open(str(target), "w") as written:
        rate = Fraction(opened.streams.video[0].average_rate or 10)
        stream: Any = written.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 768, 432, pixel_format
        for index, frame in enumerate(opened.decode(video=0)):
            if 100 <= index < 100 + frames:
                picture = frame.reformat(format=pixel_format)
                picture.pts, picture.time_base = index - 100, 1 / rate
                written.mux(stream.encode(picture))
            elif index >= 100 + frames:
                break
        written.mux(stream.encode(None))
    return target


@pytest.fixture(scope="module")
def person(data: Path) -> Path:
    return data / "videos" / "one-by-one-person-detection.mp4"


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's folder for temporary files."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def driver(person: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium whose camera plays a clip."""
    folder = tmp_path_factory.mktemp("chromium")
    camera = cut(person, folder / "camera.mjpeg", 60, "mjpeg", "yuvj420p")
    chromium = start_chromium(folder, f"--use-file-for-fake-video-capture={camera}")
    yield chromium
    chromium.quit()


@pytest.fixture(scope="module")
def url(data: Path, temporary: Path, driver: Any) -> Iterator[str]:
    """A server's address; in the end Ctrl-C must close it within 5 s, with a page still open in the browser."""
    weights = str(data / "weights" / "yolov8n.pt")
    command = [sys.executable, "-m", "streamdet", "demo", "--model", weights, "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        greeting = server.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/", greeting)
        assert address, greeting + server.stdout.read()
        yield address[0]
        server.send_signal(signal.SIGINT)
        try:
            printed, _ = server.communicate(timeout=5)
        finally:
            server.kill()
    assert (server.returncode, printed.strip()) == (0, "")
    assert list(temporary.iterdir()) == []


def test_three_visitors_with_three_picture_sizes_share_a_model(tiny_weights: Path) -> None:
    sizes = {"one": (480, 640), "other": (360, 640), "third": (640, 480)}

    async def first_five(page: str) -> list[tuple[str, str]]:
        views = webcams.watch(page)
        found = [await anext(views) for _ in range(5)]
        await views.aclose()
        return found

    def watch(page: str) -> list[tuple[str, str]]:
        return asyncio.run(first_five(page))

    with Pipeline(model=tiny_weights, device="cpu", backend="openvino") as pipeline, ThreadPoolExecutor(3) as threads:
        webcams = load_demo("webcam").Webcams(pipeline, PageOptions())
        watched = {page: threads.submit(watch, page) for page in sizes}
        while not all(shown.done() for shown in watched.values()):
            for page, hw in sizes.items():
                webcams.receive(page, np.full((*hw, 3), 90, np.uint8))
            wait(watched.values(), timeout=1 / 20)
    assert [[line.split(" tracked")[0] for _, line in shown.result()] for shown in watched.values()] == 3 * [
        ["1", "2", "3", "4", "5"]
    ]


def test_without_gradio_the_extra_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"gradio is not installed.*streamdet\[demo\]"):
        serve(DemoOptions(model=data / "weights" / "yolov8n.pt"))


def test_a_taken_port_is_one_sentence(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"^port {port} on 127.0.0.1 cannot be used; choose another one"):
            serve(DemoOptions(model=data / "weights" / "yolov8n.pt", port=port))


def test_it_is_found_where_a_wheel_puts_it(tmp_path: Path) -> None:
    nothing_built = shutil.ignore_patterns("__pycache__")
    for source, target in (("streamdet", "streamdet"), ("trackers", "trackers"), ("demo", "streamdet/demo")):
        shutil.copytree(ROOT / source, tmp_path / target, ignore=nothing_built)
    script = "from streamdet.cli.demo import load_demo; print(load_demo('app').__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(tmp_path / "streamdet" / "demo" / "app.py")


def test_an_uploaded_video_comes_back_tracked(driver: Any, url: str, person: Path, tmp_path: Path) -> None:
    page = Page(driver, url)
    page.track(cut(person, tmp_path / "clip.mp4", FRAMES))
    video = page.find("#tracked video[src]")
    # HAVE_FUTURE_DATA: it can be played, and it does.
    page.wait(lambda: page.run("return arguments[0].readyState >= 3", video), "a playable video")
    page.run("arguments[0].muted = true; arguments[0].play()", video)
    page.wait(lambda: page.run("return arguments[0].currentTime > 0", video), "the video to play")
    width, duration_s = page.run("return [arguments[0].videoWidth, arguments[0].duration]", video)
    with urllib.request.urlopen(video.get_attribute("src")) as response, av.open(BytesIO(response.read())) as tracked:
        stream = tracked.streams.video[0]
        assert (stream.codec_context.name, stream.width) == ("h264", width)
        assert sum(1 for _ in tracked.decode(stream)) == FRAMES
        assert duration_s == pytest.approx(FRAMES / float(stream.average_rate or 0), abs=0.1)
    assert re.fullmatch(rf"{FRAMES} frames in [\d.]+ s \([\d.]+ fps\), tracks: 1", page.text("#summary"))
    foreign = (
        "return performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith(arguments[0]))"
    )
    assert [name for name in page.run(foreign, url) if not name.startswith(("data:", "blob:"))] == []
    check_tracks(page, driver.downloads)


def test_without_a_video_a_rendered_street_is_tracked(driver: Any, url: str) -> None:
    page = Page(driver, url)
    page.click("#track")
    page.wait(lambda: page.text("#summary"), "the summary")
    found = re.fullmatch(r"40 frames in [\d.]+ s \([\d.]+ fps\), tracks: (\d+)", page.text("#summary"))
    assert found and int(found[1]) >= 3


def check_tracks(page: Page, downloads: Path) -> None:
    """The clip shows one person all the time."""
    mot, jsonl = downloads / "clip-tracked.txt", downloads / "clip-tracked.jsonl"
    page.click("#mot")
    page.wait(mot.is_file, "the MOT file")
    rows = [[float(value) for value in line.split(",")] for line in mot.read_text().splitlines()]
    assert {row[1] for row in rows} == {1}
    assert [row[0] for row in rows] == list(range(1, FRAMES + 1))
    page.click("#jsonl")
    page.wait(jsonl.is_file, "the JSON lines")
    header, *frames = [json.loads(line) for line in jsonl.read_text().splitlines()]
    assert header["class_names"][0] == "person"
    assert [frame["frame"] for frame in frames] == list(range(FRAMES))
    assert {track["class_name"] for frame in frames for track in frame["tracks"]} == {"person"}


def test_a_file_that_is_no_video_is_a_sentence_in_the_page(driver: Any, url: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes.mp4"
    notes.write_text("Dear diary\n" * 50)
    page = Page(driver, url)
    page.track(notes)
    sentence = "expected a video file, but notes.mp4 is none"
    page.wait(lambda: sentence in page.text("[data-testid=toast-body]"), sentence)


def test_cancel_ends_the_run_and_removes_its_files(
    driver: Any, url: str, person: Path, tmp_path: Path, temporary: Path
) -> None:
    def written() -> list[Path]:
        return list(temporary.rglob("long-tracked.*"))

    page = Page(driver, url)
    page.track(cut(person, tmp_path / "long.mp4", 300))
    page.wait(lambda: re.search(r"\d+/300 frames", page.text("#tracked")), "progress")
    assert written()
    page.click("#cancel")
    page.wait(lambda: not written(), "the files to go")
    page.wait(lambda: "/300" not in page.text("#tracked"), "the progress to go")


def test_the_webcam_comes_back_tracked(driver: Any, url: str) -> None:
    page = Page(driver, url)
    page.click("button[role=tab]", "Webcam")
    page.click("#camera button", "Click to Access Webcam")
    page.run(
        "window.seen = new Set();"
        "const note = () => { const img = document.querySelector('#live img'); if (img) seen.add(img.src); };"
        "new MutationObserver(note).observe(document.querySelector('#live'),"
        " {subtree: true, childList: true, attributes: true});"
    )
    page.click("#camera button", "Record")
    page.wait(lambda: page.run("return seen.size") >= 20, "20 different tracked frames")
    line = re.fullmatch(
        r"(\d+) tracked, (\d+) dropped · [\d.]+ fps · latency (\d+) ms · ids: \d.*", page.text("#live-line")
    )
    assert line, page.text("#live-line")
    assert int(line[1]) >= 20
    assert page.run("return document.querySelector('#live img').naturalWidth") > 0
