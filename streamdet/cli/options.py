"""The options of the commands beside ``streamdet track``; what they share comes from `streamdet.options`."""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from streamdet.errors import InputError
from streamdet.fields import Option, Options, Range
from streamdet.options import (
    ArchOptions,
    ClassOptions,
    ComputeOptions,
    DeviceOptions,
    ImageOptions,
    LabelsOptions,
    ModelOptions,
    SizeOptions,
    ThresholdOptions,
    TrackerOptions,
    WeightsOptions,
)
from streamdet.page_options import PageOptions
from streamdet.serve.options import WatchOptions
from streamdet.values import Size, read_every, read_names, read_size


def read_sizes(text: str) -> tuple[Size, ...]:
    """Return (320, (384, 640)) for "320,384x640"."""
    return tuple(map(read_size, text.split(",")))


@dataclass(frozen=True, kw_only=True)
class InfoOptions(ArchOptions):
    """The options of ``streamdet model info``."""

    model: Annotated[str, Option(positional=True)]
    "Name (yolov8n), model YAML or weights file."


@dataclass(frozen=True, kw_only=True)
class PullOptions(Options):
    """The options of ``streamdet model pull``."""

    model: Annotated[str | None, Option("Model", positional=True)] = None
    "Name of a published model; without it, all are listed."
    out: Annotated[Path, Option("Output")] = Path()
    "Folder to write the file to."


@dataclass(frozen=True, kw_only=True)
class SequenceOptions(Options):
    """Which of the labelled sequences, and which half of each."""

    half: Annotated[Literal["train", "val"] | None, Option("Source")] = None
    "Only the first halves (train) or the second ones (val)."
    sequences: Annotated[tuple[str, ...] | None, Option("Source", read=read_names)] = None
    "Only these sequences, for example MOT17-02,MOT17-04."


@dataclass(frozen=True, kw_only=True)
class MotOptions(SequenceOptions):
    """The options of ``streamdet eval mot``."""

    ground_truth: Annotated[Path, Option("Source", positional=True)]
    "MOT folder: SEQUENCE/gt/gt.txt and seqinfo.ini."
    tracks: Annotated[Path, Option("Source", positional=True)]
    "Folder of SEQUENCE.txt, or one .txt for one sequence."


@dataclass(frozen=True, kw_only=True)
class EvalOptions(ComputeOptions, SizeOptions, ThresholdOptions):
    """The options of ``streamdet eval det``."""

    data: Annotated[Path, Option("Source", positional=True)]
    "Data file in YAML: images and labels in YOLO format."
    split: Annotated[Literal["train", "val"], Option("Source")] = "val"
    "Which images of the data file."
    conf: Annotated[float, Option("Model"), Range(0, 1)] = 0.001
    "Lowest score of a detection that counts."
    iou: Annotated[float | None, Option("Model"), Range(0, 1)] = 0.7
    "Overlap above which NMS removes a box."
    out: Annotated[Path | None, Option("Output")] = None
    "Folder for scores.json and precision_recall.png."


_WITH_LABELS = {"half", "sequences", "detections", "trials", "seed", "timeout_s"}


@dataclass(frozen=True, kw_only=True)
class TuneOptions(SequenceOptions, ImageOptions, DeviceOptions, ClassOptions, SizeOptions):
    """The options of ``streamdet tune``."""

    sources: Annotated[tuple[str, ...], Option("Source", name="source", positional=True)]
    "MOT folder: SEQUENCE/gt/gt.txt, seqinfo.ini, det/*.txt, gmc.txt. Or see --unlabelled."
    unlabelled: Annotated[bool, Option("Source")] = False
    "Tune without labels: SOURCE are videos, or detections in MOT text files."
    detections: Annotated[str | None, Option("Source")] = None
    "Folder of SEQUENCE.txt, or the name of a file in every SEQUENCE/det."
    tracker: Annotated[str | Path, Option("Search")] = TrackerOptions.tracker
    "Tracker to start from: a name or a YAML file."
    trials: Annotated[int, Option("Search"), Range(1)] = 60
    "With labels: how many settings to try."
    seed: Annotated[int, Option("Search"), Range(0, 2**32 - 1)] = 0
    "With labels: the same seed tries the same settings."
    jobs: Annotated[int, Option("Search"), Range(1)] = 2
    "Processes; a sequence is the work of one."
    timeout_s: Annotated[float | None, Option("Search", name="timeout"), Range(0)] = None
    "With labels: seconds after which no trial begins."
    out: Annotated[Path, Option("Output")]
    "Tracker YAML to write, for track --tracker."

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unlabelled and (given := [item.name for item in fields(self) if self._needs_labels(item)]):
            option = given[0].removesuffix("_s")
            raise InputError(f"expected --unlabelled or --{option}, found both: it concerns the search with labels")
        if not self.unlabelled and len(self.sources) > 1:
            raise InputError(f"expected one MOT folder, or --unlabelled, found {len(self.sources)} sources")

    def _needs_labels(self, item: Field[Any]) -> bool:
        """Return whether an option was given, other than by its default, that only the search with labels reads."""
        return item.name in _WITH_LABELS and getattr(self, item.name) != item.default

    @property
    def ground_truth(self) -> Path:
        """The MOT folder, with labels."""
        return Path(self.sources[0])


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ArchOptions):
    """The options of ``streamdet train``."""

    data: Annotated[Path | None, Option("Source", positional=True)] = None
    "Data file in YAML: images and labels in YOLO format."
    check: Annotated[bool, Option("Source")] = False
    "Only say what is in the data and what is wrong."
    model: Annotated[str | None, Option("Model")] = None
    "What to train: a name such as yolov8n, or a model YAML."
    weights: Annotated[Path | None, Option("Model")] = None
    "Weights to start from, .pt or .safetensors."
    device: Annotated[str, Option("Model")] = "auto"
    "auto, cpu or cuda:N; several GPUs: torchrun -m streamdet train."
    config: Annotated[Path | None, Option("Training")] = None
    "YAML file with settings."
    epochs: Annotated[int | None, Option("Training")] = None
    "How often every image is seen."
    batch: Annotated[int | None, Option("Training")] = None
    "Images per batch and process."
    size: Annotated[int | None, Option("Training", aliases=("imgsz",))] = None
    "Side of the training images in px."
    changes: Annotated[tuple[str, ...], Option("Training", name="set")] = ()
    "Change any setting, for example mosaic=0.5; repeatable."
    minutes: Annotated[float | None, Option("Training"), Range(0)] = None
    "Stop after that time, to be resumed."
    resume: Annotated[Path | None, Option("Training")] = None
    "Go on with the training in this folder."
    evolve: Annotated[int | None, Option("Training"), Range(1)] = None
    "Search better settings: train that often, a folder of --out each."
    out: Annotated[Path | None, Option("Output")] = None
    "Folder to make; else runs/train-N."


@dataclass(frozen=True, kw_only=True)
class LabelOptions(DeviceOptions, ClassOptions, SizeOptions):
    """The options of ``streamdet label``."""

    source: Annotated[str, Option("Source", positional=True)]
    "Video file, or folder or glob of images."
    every: Annotated[int | Literal["auto"], Option("Source", read=read_every), Range(1)] = "auto"
    "Label every N-th frame; auto: frames that differ."
    out: Annotated[Path, Option("Output")]
    "Folder for images, labels and data.yaml; may be one of an earlier run."
    conf: Annotated[float, Option("Output"), Range(0, 1)] = 0.4
    "Lowest mean score of a track that is labelled."


@dataclass(frozen=True, kw_only=True)
class SceneSetOptions(Options):
    """The options of ``streamdet scene``."""

    source: Annotated[str | None, Option("Source", positional=True)] = None
    "Scene URL of the first street, others have the seeds after it; by default of any time, weather, camera and crowd."
    task: Annotated[Literal["detect", "segment", "pose", "obb", "classify"], Option("Output")] = "detect"
    "What is labelled: boxes, outlines, joints of persons, rotated boxes, or crops in a folder for each class."
    images: Annotated[int, Option("Output"), Range(1)] = 400
    "How many frames to render; those that show no object are left out."
    out: Annotated[Path, Option("Output")]
    "Folder to make."


@dataclass(frozen=True, kw_only=True)
class ExplainOptions(Options):
    """The options of ``streamdet explain``."""

    file: Annotated[Path, Option(positional=True)]
    "What streamdet track --explain wrote."
    track_id: Annotated[int | None, Option(name="id"), Range(1)] = None
    "Tell the story of this id."


@dataclass(frozen=True, kw_only=True)
class ExportOptions(ArchOptions, LabelsOptions):
    """The options of ``streamdet export``."""

    model: Annotated[Path, Option("Model", positional=True)]
    "Weights: a YOLOv5 or YOLOv8 .pt or .safetensors file."
    size: Annotated[Size | None, Option("Model", aliases=("imgsz",), read=read_size)] = None
    "Fixed input in px: a side (640), or HEIGHTxWIDTH."
    dynamic: Annotated[bool, Option("Model")] = False
    "Any number of images of any size instead."
    half: Annotated[bool, Option("Model")] = False
    "16-bit weights: half the size."
    int8: Annotated[bool, Option("Model")] = False
    "8-bit integers: faster on a CPU, a little less exact."
    calibrate: Annotated[Path | None, Option("Model")] = None
    "Video or folder of images like yours, which --int8 fits the model to."
    nms: Annotated[bool, Option("Model")] = False
    "Put non-maximum suppression into the graph."
    conf: Annotated[float, Option("Model"), Range(0, 1)] = ThresholdOptions.conf
    "Lowest score of a detection that --nms keeps."
    iou: Annotated[float | None, Option("Model"), Range(0, 1)] = ThresholdOptions.iou
    "Overlap above which --nms removes a box; by default the model's own: 0.7, of YOLOv5 0.45."
    max_det: Annotated[int, Option("Model"), Range(1)] = ThresholdOptions.max_det
    "How many rows --nms leaves."
    file_format: Annotated[Literal["onnx", "openvino"], Option("Output", name="format")] = "onnx"
    "What to write."
    out: Annotated[Path | None, Option("Output")] = None
    "Where to write; else beside the weights."


@dataclass(frozen=True, kw_only=True)
class BenchOptions(DeviceOptions):
    """The options of ``streamdet bench``."""

    source: Annotated[str | None, Option("Source", positional=True)] = None
    "What to measure on; without it, noise of 1280x720."
    sizes: Annotated[tuple[Size, ...], Option("Model", name="size", aliases=("imgsz",), read=read_sizes)] = (320, 640)
    "Model inputs in px, for example 320,640 or 384x640."
    seconds: Annotated[float, Option(), Range(0.5)] = 5.0
    "How long each detector is measured."


@dataclass(frozen=True, kw_only=True)
class DemoOptions(WeightsOptions, PageOptions):
    """The options of ``streamdet demo``."""

    port: Annotated[int, Option()] = 7860
    "Port on 127.0.0.1; 0 takes a free one."


@dataclass(frozen=True, kw_only=True)
class ServeOptions(ModelOptions, WatchOptions):
    """The options of ``streamdet serve``; None leaves `port` and `workers` to the site file."""

    sources: Annotated[tuple[str, ...], Option("Source", name="source", positional=True)] = ()
    "A site file ending in .yaml, or cameras: URLs, webcam indices, files."
    workers: Annotated[int | None, Option("Model"), Range(1, 64)] = None
    "Processes that the cameras are spread over, each with a model of its own, by default 1."
    state: Annotated[str | Path | None, Option("Tracker")] = None
    "Folder for the files that keep the ids of each camera over a restart; made if missing."
    port: Annotated[int | None, Option(), Range(0, 65535)] = None
    "Port on 127.0.0.1, by default 8090; 0 takes a free one."
    init: Annotated[bool, Option()] = False
    "Write an example of a site file, site.yaml, and end."
