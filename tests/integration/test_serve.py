"""``streamdet serve`` as an operator meets it: a real camera, one that is absent, and the page in real Chromium."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.browser import start_chromium

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

Server = tuple[subprocess.Popen[str], str]
SITE = """
model: {weights}
size: 160
state: state
max_latency_s: 30
server: {{port: 0}}
secrets: secrets.env
cameras:
  door: {{source: "{url}/live"}}
  gone: {{source: "rtsp://user:{{GONE_PASSWORD}}@127.0.0.1:1/x?key={{GONE_PASSWORD}}"}}
"""
PASSWORD = "s3cret/word"


def asked(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as response:
        return json.load(response)


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline_s = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    return found


def test_a_site(server: Server, data: Path, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE.format(weights=data / "weights" / "yolov8n.pt", url=server[1]))
    (tmp_path / "secrets.env").write_text(f"GONE_PASSWORD={PASSWORD}\n")
    command = [sys.executable, "-m", "streamdet", "serve", str(site)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    chromium = None
    try:
        assert running.stdout is not None
        greeting = running.stdout.readline()
        match = re.search(r"http://127\.0\.0\.1:\d+/", greeting)
        assert match, greeting + running.communicate()[1]
        url = match[0]

        def states() -> dict[str, str]:
            return {each["name"]: each["state"] for each in asked(f"{url}cameras")}

        until(lambda: states() == {"door": "live", "gone": "lost"})
        chromium = start_chromium(tmp_path / "chromium")
        chromium.set_window_size(360, 700)
        chromium.get(url)
        sizes = "return [...document.images].map(i => i.naturalWidth)"
        until(lambda: chromium.execute_script(sizes) == [320, 0])
        assert "1 of 2 cameras live" in chromium.find_element("css selector", "header").text
        text = chromium.find_element("css selector", "main").text
        assert "nothing listens there" in text and "user" not in text
        assert text.count("age up to 30000 ms: every frame") == 1
        assert re.search(r"age \d+ / \d+ / \d+ ms \(p50 / p95 / p99\)", text)
        assert chromium.execute_script("return document.documentElement.scrollWidth <= innerWidth")

        # The file is read again: a camera goes, a clip comes, and the first one goes on.
        before = asked(f"{url}cameras/door")
        site.write_text(re.sub("  gone: .*", f"  clip: {{source: {data / 'videos' / 'vtest.avi'}}}", site.read_text()))
        running.send_signal(signal.SIGHUP)
        until(lambda: states() == {"door": "live", "clip": "live"})
        assert asked(f"{url}cameras/door")["since"] == before["since"]

        server[0].kill()
        until(lambda: states() == {"door": "lost", "clip": "live"})
        since_s = time.monotonic()
        running.send_signal(signal.SIGTERM)
        printed = running.communicate(timeout=30)[1]
        assert time.monotonic() - since_s < 10
        assert running.returncode == 0, printed
        assert re.search(r"door: live\n(.*\n)*.* door: lost: expected rtsp://", printed), printed
        assert PASSWORD not in printed and "Traceback" not in printed
        assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["clip.state", "door.state"]
    finally:
        running.kill()
        if chromium is not None:
            chromium.quit()
