"""Real-time video detection and tracking.

```python
import streamdet

for result in streamdet.track("video.mp4"):
    print(float(result.frame.time), result.tracks.ids, result.tracks.boxes)  # seconds, ids, xyxy in px
```

Public names are imported when they are first used, so that ``import streamdet`` loads neither torch nor PyAV.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamdet.installation import warn_of_other_trackers as _warn_of_other_trackers

__version__ = "0.1.0"

if TYPE_CHECKING:
    from streamdet.detect.detector import Detector as Detector
    from streamdet.errors import DeviceError as DeviceError
    from streamdet.errors import InputError as InputError
    from streamdet.errors import MissingExtraError as MissingExtraError
    from streamdet.errors import OutputError as OutputError
    from streamdet.errors import SourceBroken as SourceBroken
    from streamdet.errors import SourceEnded as SourceEnded
    from streamdet.errors import SourceError as SourceError
    from streamdet.errors import SourceRefused as SourceRefused
    from streamdet.errors import SourceSilent as SourceSilent
    from streamdet.errors import SourceUnreachable as SourceUnreachable
    from streamdet.errors import StreamdetError as StreamdetError
    from streamdet.pipeline.loop import Loop as Loop
    from streamdet.pipeline.pipeline import Pipeline as Pipeline
    from streamdet.pipeline.pipeline import track as track
    from streamdet.pipeline.run import Run as Run
    from streamdet.pipeline.run import RunStats as RunStats
    from streamdet.pipeline.runs import Runs as Runs
    from streamdet.result import Result as Result
    from streamdet.rows import Detection as Detection
    from streamdet.rows import Track as Track
    from streamdet.tracking.frame_tracker import FrameTracker as FrameTracker
    from streamdet.tracking.frame_tracker import load_tracker as load_tracker
    from streamdet.types import Detections as Detections
    from streamdet.types import Frame as Frame
    from streamdet.types import Tracks as Tracks
    from streamdet.video.source import open_source as open_source

_HOMES = {  # the module of each public name
    "Detection": "streamdet.rows",
    "Detections": "streamdet.types",
    "Detector": "streamdet.detect.detector",
    "DeviceError": "streamdet.errors",
    "Frame": "streamdet.types",
    "FrameTracker": "streamdet.tracking.frame_tracker",
    "InputError": "streamdet.errors",
    "Loop": "streamdet.pipeline.loop",
    "MissingExtraError": "streamdet.errors",
    "OutputError": "streamdet.errors",
    "Pipeline": "streamdet.pipeline.pipeline",
    "Result": "streamdet.result",
    "Run": "streamdet.pipeline.run",
    "RunStats": "streamdet.pipeline.run",
    "Runs": "streamdet.pipeline.runs",
    "SourceBroken": "streamdet.errors",
    "SourceEnded": "streamdet.errors",
    "SourceError": "streamdet.errors",
    "SourceRefused": "streamdet.errors",
    "SourceSilent": "streamdet.errors",
    "SourceUnreachable": "streamdet.errors",
    "StreamdetError": "streamdet.errors",
    "Track": "streamdet.rows",
    "Tracks": "streamdet.types",
    "load_tracker": "streamdet.tracking.frame_tracker",
    "open_source": "streamdet.video.source",
    "track": "streamdet.pipeline.pipeline",
}
__all__ = ["Detection", "Detections", "Detector", "Frame", "FrameTracker", "Loop", "Pipeline", "Result", "Run"]
__all__ += ["RunStats", "Runs", "Track", "Tracks", "load_tracker", "open_source", "track"]
__all__ += ["DeviceError", "InputError", "MissingExtraError", "OutputError", "StreamdetError"]
__all__ += ["SourceBroken", "SourceEnded", "SourceError", "SourceRefused", "SourceSilent", "SourceUnreachable"]


_warn_of_other_trackers()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'streamdet' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
