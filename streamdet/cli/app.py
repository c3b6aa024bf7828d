"""The commands and their options. A command imports what it needs when it runs, so that ``--help`` is instant."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

import streamdet
from streamdet.cli.console import fail
from streamdet.config import NMS_IOU, TRACKER, TRACKING_CONF
from streamdet.errors import InputError, StreamdetError

app = typer.Typer(
    help=streamdet.__doc__.split("\n")[0], no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
model_app = typer.Typer(help="Look into models.", no_args_is_help=True)
eval_app = typer.Typer(help="Score finished output against ground truth.", no_args_is_help=True)
app.add_typer(model_app, name="model")
app.add_typer(eval_app, name="eval")

# What several commands ask alike.
Model = Annotated[
    Path | None, typer.Option(help="Weights: .pt or .safetensors of YOLOv5 or YOLOv8, or what streamdet export wrote.")
]
Imgsz = Annotated[str | None, typer.Option(help="Model input in px: the longer side (640), or HEIGHTxWIDTH.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda:N.")]
Classes = Annotated[str | None, typer.Option(help="Only these classes, for example person,car.")]
Sequences = Annotated[str | None, typer.Option(help="Only these sequences, for example MOT17-02,MOT17-04.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"streamdet {streamdet.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def track(
    source: Annotated[str, typer.Argument(help="File, folder or glob of images, webcam index, rtsp/rtmp/http(s) URL.")],
    model: Model = None,
    tracker: Annotated[
        str, typer.Option(help="streamsort, botsort, bytetrack, ocsort, sort or a YAML file.")
    ] = TRACKER,
    out: Annotated[Path | None, typer.Option(help="Video to write: .mp4, .mov, .mkv, .avi or .webm.")] = None,
    tracks: Annotated[Path | None, typer.Option(help="Tracks to write: .txt (MOT), .jsonl or .csv.")] = None,
    classes: Classes = None,
    conf: Annotated[float, typer.Option(help="Lowest score of a detection.")] = TRACKING_CONF,
    iou: Annotated[float, typer.Option(help="Overlap above which NMS removes a box.")] = NMS_IOU,
    imgsz: Imgsz = None,
    device: Device = "auto",
    backend: Annotated[
        str, typer.Option(help="What computes the model: auto (the fastest), openvino, onnx or torch.")
    ] = "auto",
    half: Annotated[bool, typer.Option("--half", help="Compute in 16 bits: fp16 on CUDA, bf16 on a CPU.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Images that a GPU computes at once, if so many wait.")] = 1,
    decode: Annotated[
        Literal["auto", "software", "cuda"], typer.Option(help="What decodes video: auto is the GPU where it is exact.")
    ] = "auto",
    stride: Annotated[
        str, typer.Option(help="Use every N-th frame; auto: all, and detect as often as real time allows.")
    ] = "1",
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after that many frames.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the video in a window; q ends.")] = False,
    reid: Annotated[Path | None, typer.Option(help="Appearance model, .onnx or .pt2, to tell people apart by.")] = None,
    state: Annotated[Path | None, typer.Option(help="File that keeps ids over a restart; made if missing.")] = None,
    refine: Annotated[
        bool, typer.Option("--refine", help="Read a file twice, so that what comes later counts: no gaps, fewer ids.")
    ] = False,
    explain: Annotated[
        Path | None, typer.Option(help="Reasons behind every track to write, .jsonl, for streamdet explain.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Track what moves in SOURCE; without --out, --tracks or --show a file's results go to the folder runs."""
    from streamdet.cli.track import TrackOptions, run

    # Until the pipeline runs nothing is written: Ctrl-C may end the process at once, even inside a native call.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    report = run(
        TrackOptions(
            source=source,
            model=_given(model),
            tracker=tracker,
            out=out,
            tracks=tracks,
            classes=classes.split(",") if classes else None,
            conf=conf,
            iou=iou,
            size=_size(imgsz),
            device=device,
            backend=backend,
            half=half,
            stride=_whole_or_auto("--stride", stride),
            max_frames=max_frames,
            show=show,
            explain=explain,
            reid=reid,
            state=state,
            refine=refine,
            batch=batch,
            decode=decode,
        )
    )
    raise typer.Exit(report.exit_code)


@model_app.command()
def info(
    model: Annotated[str, typer.Argument(help="Name (yolov8n), model YAML or weights file.")], debug: Debug = False
) -> None:
    """Print the layers, parameters, gradients and GFLOPs of MODEL."""
    from streamdet.cli.report import print_model

    print_model(model)


@eval_app.command()
def mot(
    ground_truth: Annotated[Path, typer.Argument(help="MOT folder: SEQUENCE/gt/gt.txt and seqinfo.ini.")],
    tracks: Annotated[Path, typer.Argument(help="Folder of SEQUENCE.txt, or one .txt for one sequence.")],
    half: Annotated[Literal["train", "val"] | None, typer.Option(help="Only the first or second halves.")] = None,
    sequences: Sequences = None,
    debug: Debug = False,
) -> None:
    """Print HOTA, MOTA, IDF1 and id switches of TRACKS."""
    from streamdet.cli.report import print_mot_scores

    print_mot_scores(ground_truth, tracks, half, sequences.split(",") if sequences else None)


@eval_app.command()
def det(
    data: Annotated[Path, typer.Argument(help="Data file in YAML: images and labels in YOLO format.")],
    model: Model = None,
    split: Annotated[Literal["train", "val"], typer.Option(help="Which images of the data file.")] = "val",
    imgsz: Imgsz = None,
    conf: Annotated[float, typer.Option(help="Lowest score of a detection that counts.")] = 0.001,
    iou: Annotated[float, typer.Option(help="Overlap above which NMS removes a box.")] = NMS_IOU,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder for scores.json and precision_recall.png.")] = None,
    debug: Debug = False,
) -> None:
    """Print the average precision of a model on labelled images, per class and size, by COCO's rules.

    Classes of the model and of the data are matched by name.
    """
    from streamdet.cli.eval_det import EvalOptions, run

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is written before the end
    run(EvalOptions(data, _given(model), split, _size(imgsz), conf, iou, device, out))


@app.command()
def tune(
    ground_truth: Annotated[
        Path, typer.Argument(help="MOT folder: SEQUENCE/gt/gt.txt, seqinfo.ini, det/*.txt, gmc.txt.")
    ],
    out: Annotated[Path, typer.Option(help="Tracker YAML to write, for track --tracker.")],
    tracker: Annotated[str, typer.Option(help="Tracker to start from: a name or a YAML file.")] = TRACKER,
    detections: Annotated[
        str | None, typer.Option(help="Folder of SEQUENCE.txt, or the name of a file in every SEQUENCE/det.")
    ] = None,
    half: Annotated[Literal["train", "val"] | None, typer.Option(help="Tune on the first or second halves.")] = None,
    sequences: Sequences = None,
    trials: Annotated[int, typer.Option(min=1, help="How many settings to try.")] = 60,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed tries the same settings.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; a sequence is the work of one.")] = 2,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds after which no trial begins.")] = None,
    debug: Debug = False,
) -> None:
    """Search the settings of a tracker that score best (HOTA) on labelled sequences; Ctrl-C keeps the best so far."""
    from streamdet.cli.tune import TuneOptions, run

    names = sequences.split(",") if sequences else None
    raise typer.Exit(run(TuneOptions(ground_truth, out, tracker, detections, half, names, trials, seed, jobs, timeout)))


@app.command()
def train(
    data: Annotated[Path | None, typer.Argument(help="Data file in YAML: images and labels in YOLO format.")] = None,
    model: Annotated[str | None, typer.Option(help="What to train: a name such as yolov8n, or a model YAML.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights to start from, .pt or .safetensors.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    epochs: Annotated[int | None, typer.Option(help="How often every image is seen.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images per batch and process.")] = None,
    imgsz: Annotated[int | None, typer.Option(help="Side of the training images in px.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change any setting, for example mosaic=0.5; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to make; else runs/train-N.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the training in this folder.")] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu or cuda:N; several GPUs: torchrun -m streamdet train.")
    ] = "auto",
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after that time, to be resumed.")] = None,
    evolve: Annotated[
        int | None, typer.Option(min=1, help="Search better settings: train that often, a folder of --out each.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say what is in the data and what is wrong.")] = False,
    debug: Debug = False,
) -> None:
    """Train a detector on labelled images; a training that was stopped or killed goes on with --resume.

    An evolution goes on when it is called again with the same --out.
    """
    from streamdet.cli.train import run
    from streamdet.cli.train_options import TrainOptions

    shortcuts = {"epochs": epochs, "batch": batch, "imgsz": imgsz}
    changes = set_ or []
    raise typer.Exit(
        run(TrainOptions(data, model, weights, config, changes, shortcuts, out, resume, device, minutes, evolve, check))
    )


@app.command()
def label(
    source: Annotated[str, typer.Argument(help="Video file, or folder or glob of images.")],
    out: Annotated[Path, typer.Option(help="Folder for images, labels and data.yaml; may be one of an earlier run.")],
    model: Model = None,
    every: Annotated[str, typer.Option(help="Label every N-th frame; auto: frames that differ.")] = "auto",
    conf: Annotated[float, typer.Option(help="Lowest mean score of a track that is labelled.")] = 0.4,
    classes: Classes = None,
    imgsz: Imgsz = None,
    device: Device = "auto",
    debug: Debug = False,
) -> None:
    """Draft labels for your own video by detector and tracker, for you to correct and streamdet train to learn from.

    Label files that are there already stay as they are.
    """
    from streamdet.cli.label import LabelOptions, run

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as for track
    names = classes.split(",") if classes else None
    spacing = _whole_or_auto("--every", every)
    raise typer.Exit(run(LabelOptions(source, _given(model), out, spacing, conf, names, _size(imgsz), device)))


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(help="What streamdet track --explain wrote.")],
    track_id: Annotated[int | None, typer.Option("--id", min=1, help="Tell the story of this id.")] = None,
    debug: Debug = False,
) -> None:
    """List the ids in FILE, or say in words why one began, was lost, may have switched or ended.

    Frames count from 0.
    """
    from streamdet.cli.explain import print_lives, print_story

    if track_id is None:
        print_lives(file)
    else:
        print_story(file, track_id)


@app.command("export")
def export_model(
    model: Annotated[Path, typer.Argument(help="Weights: a YOLOv5 or YOLOv8 .pt or .safetensors file.")],
    file_format: Annotated[Literal["onnx", "openvino"], typer.Option("--format", help="What to write.")] = "onnx",
    imgsz: Annotated[str | None, typer.Option(help="Fixed input in px: a side (640), or HEIGHTxWIDTH.")] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Any number of images of any size instead.")] = False,
    half: Annotated[bool, typer.Option("--half", help="16-bit weights: half the size.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="8-bit integers: faster on a CPU, a little less exact.")] = False,
    calibrate: Annotated[
        Path | None, typer.Option(help="Video or folder of images like yours, which --int8 fits the model to.")
    ] = None,
    nms: Annotated[bool, typer.Option("--nms", help="Put non-maximum suppression into the graph.")] = False,
    conf: Annotated[float, typer.Option(help="Lowest score of a detection that --nms keeps.")] = TRACKING_CONF,
    iou: Annotated[float, typer.Option(help="Overlap above which --nms removes a box.")] = NMS_IOU,
    max_det: Annotated[int, typer.Option(min=1, help="How many rows --nms leaves.")] = 300,
    out: Annotated[Path | None, typer.Option(help="Where to write; else beside the weights.")] = None,
    debug: Debug = False,
) -> None:
    """Write MODEL for other runtimes: images uint8 (B, H, W, 3) RGB in, rows x1, y1, x2, y2, score, class out."""
    from streamdet.cli.export import calibration_of, input_hw, run, suppression_of
    from streamdet.export.export import ExportOptions

    calibration = calibration_of(int8, calibrate)
    suppression = suppression_of(conf, iou, max_det) if nms else None
    size = input_hw(_size(imgsz), dynamic)
    run(ExportOptions(model, file_format, size, half, calibration, suppression, out))


@app.command()
def bench(
    source: Annotated[str | None, typer.Argument(help="What to measure on; without it, noise of 1280x720.")] = None,
    model: Model = None,
    imgsz: Annotated[str, typer.Option(help="Model inputs in px, for example 320,640 or 384x640.")] = "320,640",
    device: Device = "auto",
    seconds: Annotated[float, typer.Option(min=0.5, help="How long each detector is measured.")] = 5.0,
    debug: Debug = False,
) -> None:
    """Say how fast this machine detects and tracks, what limits it, and how many cameras it carries."""
    from streamdet.cli.bench import run

    sizes = [size for size in map(_size, imgsz.split(",")) if size is not None]
    run(source, _given(model), sizes, device, seconds)


@app.command()
def doctor(debug: Debug = False) -> None:
    """Say what this machine has, what is missing and how to get it."""
    from streamdet.cli.report import print_diagnosis

    raise typer.Exit(0 if print_diagnosis() else 1)


@app.command()
def demo(
    model: Model = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 7860,
    debug: Debug = False,
) -> None:
    """Open a page on 127.0.0.1 that tracks uploaded videos and the browser's webcam."""
    from streamdet.cli.demo import serve

    serve(_given(model), port)


def _given(model: Path | None) -> Path:
    """Return the model to use, and say so where it is the one inside the package."""
    if model is not None:
        return model
    from streamdet.cli.console import stderr
    from streamdet.resources import EMBEDDED_MODEL

    what = "the embedded one for person, bicycle, car, motorcycle, bus and truck"
    stderr.print(f"no --model given: using {what}", soft_wrap=True)
    return EMBEDDED_MODEL


def _whole_or_auto(option: str, text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{option} must be auto or a whole number from 1, got {text!r}")
    return int(text)


def _size(text: str | None) -> int | tuple[int, int] | None:
    if text is None:
        return None
    try:
        sides = [int(side) for side in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2):
        raise InputError(f"--imgsz must be a side such as 640 or HEIGHTxWIDTH such as 384x640, got {text!r}")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def main() -> NoReturn:
    """Run the command line: 0 done, 1 failed while running, 2 bad input, 130 interrupted."""
    try:
        app()
    except StreamdetError as error:
        sys.exit(fail(str(error), error.exit_code))
    except ImportError as error:
        sys.exit(fail(f"cannot import {error.name or 'a module'}: {error}; streamdet doctor says what is missing", 1))
    except Exception as error:
        sys.exit(fail(f"unexpected {type(error).__name__}: {error} (run again with --debug for the traceback)", 1))
    sys.exit(0)
