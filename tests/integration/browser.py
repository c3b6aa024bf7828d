"""A real browser."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

FLAGS = """
    --headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --use-fake-device-for-media-stream --use-fake-ui-for-media-stream
"""


def start_chromium(folder: Path, *flags: str) -> Any:
    """Start Chromium with its profile and its downloads in `folder`; skips where it is not installed."""
    binaries = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if missing := [name for name, path in binaries.items() if path is None]:
        reason = f"needs {' and '.join(missing)} (Debian packages chromium, chromium-driver)"
        pytest.fail(reason) if os.environ.get("STREAMDET_REQUIRE_DATA") == "1" else pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = binaries["chromium"]
    for flag in (*FLAGS.split(), f"--user-data-dir={folder}", *flags):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / "downloads")})
    chromium: Any = webdriver.Chrome(options, webdriver.ChromeService(binaries["chromedriver"]))
    chromium.downloads = folder / "downloads"
    return chromium
