"""The options of the demo's page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from streamdet.errors import InputError, shown
from streamdet.fields import Option, Options, Range


@dataclass(frozen=True, kw_only=True)
class PageOptions(Options):
    """Who may use the demo's page, and how much of the machine a visitor gets."""

    hosts: Annotated[tuple[str, ...], Option(name="host")] = ()
    "Name, beside 127.0.0.1 and localhost, that browsers may ask for, such as a proxy's; repeats."
    max_upload_mb: Annotated[int, Option(), Range(1)] = 200
    "Largest file that may be uploaded, in MB."
    max_seconds: Annotated[float, Option(), Range(1)] = 600.0
    "Longest time that a visitor's video, webcam or upload may take, in s."
    max_pixels: Annotated[int, Option(), Range(1)] = 4096 * 2304
    "Largest frame of a video or webcam, in pixels."
    max_webcams: Annotated[int, Option(), Range(1, 16)] = 4
    "Webcams that are tracked at the same time; others are refused."
    queue: Annotated[int, Option(), Range(1)] = 10
    "Videos that wait for their turn, one at a time is tracked; others are refused."

    def __post_init__(self) -> None:
        super().__post_init__()
        for host in self.hosts:
            if not re.fullmatch(r"[A-Za-z0-9.-]+", host):
                raise InputError(f"--host must be a name such as demo.example.org, without port, got {shown(host)}")
