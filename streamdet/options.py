"""The options of a run, each stated once: Python's keywords and the command line are derived from these classes.

Each class holds the options of one part of a run; a part with more options inherits from several classes. How a field
states its option is described in `streamdet.fields`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from streamdet.errors import InputError
from streamdet.fields import Option, Options, Range
from streamdet.values import Keep, Size, Suppression, read_duration, read_every, read_keep, read_names, read_size

Decode = Literal["auto", "software", "cuda"]
Deinterlace = Literal["auto", "on", "off"]
Levels = Literal["auto", "full"]
Order = Literal["rgb", "bgr"]
RtspTransport = Literal["tcp", "udp"]
PrecisionChoice = Literal["auto", "fp32", "half"]
MAX_PIXELS = 100_000_000  # of a picture, by default; decoding takes 3 bytes for each, and more
IMAGE_SIZE_PX = 640  # for a size of None, if the model has no fixed size


@dataclass(frozen=True, kw_only=True)
class ArchOptions(Options):
    """What a weights file may leave unsaid."""

    arch: Annotated[str | None, Option("Model")] = None
    "Architecture of a checkpoint that holds only tensors, such as yolov8n."


@dataclass(frozen=True, kw_only=True)
class WeightsOptions(ArchOptions):
    """The model."""

    model: Annotated[str | Path | None, Option("Model", aliases=("weights",))] = None
    "Weights: .pt or .safetensors of YOLOv5 or YOLOv8, or what streamdet export wrote."


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(WeightsOptions):
    """The model and the device that computes it."""

    device: Annotated[str, Option("Model")] = "auto"
    "auto, cpu or cuda:N, for which N is enough."


@dataclass(frozen=True, kw_only=True)
class LabelsOptions(Options):
    """How many classes a box may have."""

    labels: Annotated[int | None, Option("Model"), Range(1)] = None
    "How many classes a box may have, a detection each; by default 1, or as exported."


@dataclass(frozen=True, kw_only=True)
class ComputeOptions(DeviceOptions, LabelsOptions):
    """The model, and the device, backend and precision that it is computed with."""

    backend: Annotated[str, Option("Model")] = "auto"
    "What computes the model: auto (the fastest), openvino, onnx or torch."
    precision: Annotated[PrecisionChoice, Option("Model", flag="half")] = "auto"
    "Bits to compute in; half is 16: fp16 on CUDA, bf16 on a CPU."


@dataclass(frozen=True, kw_only=True)
class ModelOptions(ComputeOptions):
    """The model, what it is computed with, and how many images at once."""

    batch: Annotated[int, Option("Model"), Range(1)] = 1
    "Images that a GPU computes at once, if so many wait."
    wait_s: Annotated[float, Option("Model", name="wait"), Range(0, 1)] = 0.0
    "How long a batch that is not full waits for more frames, in s."


@dataclass(frozen=True, kw_only=True)
class DecodeOptions(Options):
    """Which frames of a source, and how they are decoded."""

    every: Annotated[
        int | Literal["auto"], Option("Source", aliases=("stride", "vid_stride"), read=read_every), Range(1)
    ] = 1
    "Use every N-th frame; auto: all, and detect as often as real time allows."
    max_frames: Annotated[int | None, Option("Source"), Range(1)] = None
    "Stop after that many frames."
    decode: Annotated[Decode, Option("Source")] = "auto"
    "What decodes video: auto is the GPU where it is exact."
    live: Annotated[bool, Option("Source")] = False
    "A web address or pipe is a camera: frames are dropped to keep up with it."
    stream: Annotated[int | None, Option("Source"), Range(0)] = None
    "Which video of a file to use, from 0; by default the best."
    deinterlace: Annotated[Deinterlace, Option("Source")] = "auto"
    "Make whole pictures of interlaced ones: auto is where a frame is flagged so."
    levels: Annotated[Levels, Option("Source")] = "auto"
    "Black and white of 16-bit grey: auto, by the first picture, or full, by the range."
    max_pixels: Annotated[int, Option("Source"), Range(1)] = MAX_PIXELS
    "How many pixels a picture may have at most."
    rtsp_transport: Annotated[RtspTransport, Option("Source")] = "tcp"
    "How packets of an RTSP camera come, if it offers both ways."
    timeout_s: Annotated[float, Range(0.001, 3600)] = 4.0
    "How long a camera or server may take to connect, to send its first packets, and each later frame."


@dataclass(frozen=True, kw_only=True)
class ImageOptions(Options):
    """How images that come without a time, or from Python, are understood."""

    fps: Annotated[float | None, Option("Source"), Range(0.001, 1000)] = None
    "Images per s of a folder; by default that of its seqinfo.ini, or 30."
    order: Order = "rgb"
    "Order of the channels in arrays that Python gives: rgb, or bgr as in OpenCV."

    @property
    def rate(self) -> Fraction | None:
        """`fps` as it is meant: 29.97 is 30000/1001."""
        return Fraction(self.fps).limit_denominator(1001) if self.fps else None


@dataclass(frozen=True, kw_only=True)
class SourceOptions(DecodeOptions, ImageOptions):
    """The options of a source."""


@dataclass(frozen=True, kw_only=True)
class CameraOptions(SourceOptions):
    """Which frames of a source, and how long a camera that fails is tried again."""

    reconnect_s: Annotated[float, Option("Source", name="reconnect"), Range(0)] = 0.0
    "How long a camera that failed is tried again, in s."
    max_latency_s: Annotated[float | None, Option("Source", name="max-latency"), Range(0.01, 60)] = None
    "Age that results of a camera may have, in s: kept by detecting less, in smaller images."

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_latency_s is not None and self.every == "auto":
            raise InputError("expected every auto or max_latency_s, found both: each decides in which frames to detect")


@dataclass(frozen=True, kw_only=True)
class SizeOptions(Options):
    """The size of the model input."""

    size: Annotated[Size | None, Option("Model", aliases=("imgsz",), read=read_size)] = None
    "Model input in px: the longer side (640), or HEIGHTxWIDTH."


@dataclass(frozen=True, kw_only=True)
class ClassOptions(Options):
    """The classes that are detected."""

    classes: Annotated[str | int | Sequence[str | int] | None, Option("Model", read=read_names)] = None
    "Only these classes, for example person,car; repeats."


@dataclass(frozen=True, kw_only=True)
class ThresholdOptions(Options):
    """The thresholds by which boxes of a model's output are detections."""

    # Below this score a detection is noise even to a tracker; between it and the tracker's own threshold it can keep a
    # track alive (ByteTrack, arXiv 2110.06864, section 3).
    conf: Annotated[float, Option("Model", aliases=("conf_thres",)), Range(0, 1)] = 0.1
    "Lowest score of a detection."
    iou: Annotated[float | None, Option("Model", aliases=("iou_thres",)), Range(0, 1)] = None
    "Overlap above which NMS removes a box; by default the model's own: 0.7, of YOLOv5 0.45."
    nms: Annotated[Suppression, Option("Model")] = "greedy"
    "Suppression: greedy, diou, soft, soft-linear, matrix, matrix-linear or none."
    agnostic: bool = False
    "NMS removes a box also for one of another class."
    max_det: Annotated[int, Range(1)] = 300
    "How many detections an image may have."


@dataclass(frozen=True, kw_only=True)
class DetectOptions(ClassOptions, ThresholdOptions, SizeOptions):
    """The options of a detector, beside its model."""


@dataclass(frozen=True, kw_only=True)
class TrackerOptions(Options):
    """The tracker, its appearance model, and the state and passes of a run."""

    tracker: Annotated[str | Path, Option("Tracker")] = "streamsort"
    "streamsort, botsort, bytetrack, ocsort, sort or a YAML file."
    reid: Annotated[str | Path | None, Option("Tracker")] = None
    "Appearance model, .onnx or .pt2, to tell people apart by."
    state: Annotated[str | Path | None, Option("Tracker")] = None
    "File that keeps ids over a restart; made if missing."
    refine: Annotated[bool, Option("Tracker")] = False
    "Read a file twice, so that what comes later counts: no gaps, fewer ids."

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.refine and self.state is not None:
            raise InputError("expected refine or state, found both: refined tracks have other ids")


@dataclass(frozen=True, kw_only=True)
class DrawOptions(Options):
    """The drawing of results."""

    draw: bool = False
    "Results come with their picture drawn, made beside the tracking."


@dataclass(frozen=True, kw_only=True)
class RecordOptions(Options):
    """How a recording is cut, and how much of it is kept."""

    segment_s: Annotated[float | None, Option("Output", name="segment", read=read_duration), Range(1)] = None
    "Cut the video of a camera into files of this length, such as 10m, named after the time."
    keep: Annotated[Keep | None, Option("Output", read=read_keep)] = None
    "Remove the oldest of these files beyond an age or a size, such as 7d or 20GB."


@dataclass(frozen=True, kw_only=True)
class OutputOptions(RecordOptions):
    """The files that a command writes, and its window."""

    out: Annotated[
        tuple[Path, ...], Option("Output", instead_of=("project", "name", "output", "save", "save_dir"))
    ] = ()
    "Video to write: .mp4, .mov, .mkv, .avi, .webm; for an image an image; a folder for several of them; repeats."
    tracks: Annotated[tuple[Path, ...], Option("Output", instead_of=("save_txt", "save_conf"))] = ()
    "Tracks to write: .txt (MOT), .mots, .jsonl, .csv, .json (COCO), .parquet, .xml (CVAT); -: MOT to stdout; repeats."
    mot_classes: Annotated[bool, Option("Output")] = False
    "Name classes by MOT17's numbers in MOT rows, in place of -1."
    explain: Annotated[Path | None, Option("Output")] = None
    "Reasons behind every track to write, .jsonl, for streamdet explain."
    crops: Annotated[Path | None, Option("Output", instead_of=("save_crop",))] = None
    "Folder for the best crop of each track, the largest and surest, as ID.jpg."
    truth: Annotated[Path | None, Option("Output")] = None
    "Labels to score the tracks against: a folder with gt/gt.txt and seqinfo.ini."
    overwrite: Annotated[bool, Option("Output", instead_of=("exist_ok",))] = False
    "Replace results that exist; else a terminal is asked, and a script refused."
    skip_existing: Annotated[bool, Option("Output")] = False
    "Leave sources whose results exist and are finished; do again what was stopped half way."
    show: Annotated[bool, Option("Output", instead_of=("view_img",))] = False
    "Show the video in a window; q ends."
    verbose: Annotated[bool, Option("Output")] = False
    "Print the time per stage, and which one limits the run."


@dataclass(frozen=True, kw_only=True)
class LoopOptions(ImageOptions, DetectOptions, TrackerOptions, DrawOptions):
    """The options of a run whose images come from a loop of the caller's own."""

    explains: bool = False
    "Results come with the decisions behind their tracks."


@dataclass(frozen=True, kw_only=True)
class RunOptions(CameraOptions, LoopOptions):
    """The options of one run of a pipeline."""


@dataclass(frozen=True, kw_only=True)
class TrackKeywords(ModelOptions, RunOptions):
    """The options of `streamdet.track`."""


@dataclass(frozen=True, kw_only=True)
class TrackOptions(ModelOptions, RunOptions, OutputOptions):
    """The options of ``streamdet track``."""

    sources: Annotated[tuple[str, ...], Option("Source", name="source", positional=True)]
    "File, folder or glob of images, webcam index, rtsp/rtmp/http(s) or scene URL."

    def __post_init__(self) -> None:
        if self.refine and (self.explain or self.state):
            other = "--explain" if self.explain else "--state"
            raise InputError(f"expected --refine or {other}, found both: refined tracks have other ids")
        if self.mot_classes and self.tracks and not {path.suffix.lower() for path in self.tracks} & {"", ".txt"}:
            raise InputError(f"expected rows of MOT (.txt) for --mot-classes, found {self.tracks[0]}")
        if self.overwrite and self.skip_existing:
            raise InputError("expected --overwrite or --skip-existing, found both")
        super().__post_init__()
