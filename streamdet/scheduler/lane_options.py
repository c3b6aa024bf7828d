"""What a lane is made with: how its frames become requests to a model, and how they are queued."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from streamdet.inference.session import Request, Session
from streamdet.letterbox import Letterbox
from streamdet.scheduler.latency import EveryFrame, Policy
from streamdet.types import Frame

IN_FLIGHT_BYTES = 256 << 20  # of images in a run, from decoding to reading, without what is drawn on them


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """How the frames of a run are queued, batched and admitted.

    - `live`: the run is served first and keeps its newest `depth` frames; any other run waits for room in its queue.
    - `batch`: images in a batch at most.
    - `wait_s`: how long a batch that is not full waits for more frames.
    - `depth`: frames that wait in the queue at most.
    - `credits`: frames at most that have left the queue and whose results have not been released yet.
    - `max_bytes`: bytes of the images of all these frames at most; a larger one goes alone.
    - `policy`: decides which frames are detected in.
    """

    live: bool
    batch: int = 1
    wait_s: float = 0.0
    depth: int = 4
    credits: int = 8
    max_bytes: int = IN_FLIGHT_BYTES
    policy: Policy = field(default_factory=EveryFrame)


class Key(NamedTuple):
    """What slots are made for: a model, the (height, width) of its input in px, and the number of images in a batch."""

    session: Session
    input_hw: tuple[int, int]
    batch: int


class Preparation(Protocol):
    """Converts the frames of a run into requests to a session; a `Detector` is one."""

    @property
    def session(self) -> Session:
        """The model."""

    def fit(self, image_hw: tuple[int, int], size: int | None = None) -> Letterbox:
        """Fit images of `image_hw` px into a model input with a longer side of `size` px, None for the run's own."""

    def request(self, frame: Frame, letterbox: Letterbox) -> Request:
        """Return the request to a slot for `frame`; it may be slow, so the thread of the run calls it."""
