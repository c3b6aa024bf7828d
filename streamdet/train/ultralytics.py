"""Settings files of ultralytics (YOLOv8 and YOLOv5): what each of their keys is here, or why it has no meaning.

The keys are those of the published documentation. Keys that are called the same here mean the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

# Keys with another name here.
NAMES: Mapping[str, str] = MappingProxyType({"cos_lr": "cosine", "amp": "mixed_precision", "nbs": "nominal_batch"})

# Values with another name here, by key.
VALUES: Mapping[str, Mapping[Any, Any]] = MappingProxyType(
    {
        "optimizer": {"auto": "sgd", "SGD": "sgd", "AdamW": "adamw"},
        "cache": {"ram": True},
        "multi_scale": {True: 0.5, False: 0.0},
    }
)

# Keys that have no meaning here, by the reason.
WITHOUT_MEANING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "the command line states data, model, device and folder": (
            *("cfg", "data", "device", "exist_ok", "model", "name", "pretrained", "project", "resume", "save_dir"),
        ),
        "the command and the model decide what is done": ("mode", "task"),
        "--minutes limits the time": ("time",),
        "weights, curves and a state are saved after every epoch": ("plots", "profile", "save", "save_json", "verbose"),
        "the same seed always gives the same training": ("deterministic",),
        "the layout in memory is always the one that is faster": ("channels_last",),
        "the head for other classes starts at random": ("cls_remap",),
        "it concerns depth": ("dgrad", "dlam", "dlog"),
        "networks do not learn from other networks": ("dis", "distill_model"),
        "images are learned as squares": ("rect",),
        "training images are those of train, validation images those of val": ("split",),
        "all channels are learned at once": ("dropout",),
        "colours are not exchanged": ("bgr",),
        "masks are learned one by one, at a quarter of the size of images": ("mask_ratio", "overlap_mask"),
        "key points are not learned by their likelihood": ("rle",),
        "classifiers learn random parts of images, see scale, and cutout covers parts of them": (
            *("auto_augment", "crop_fraction", "erasing"),
        ),
        "class_loss chooses the loss of classes": ("cls_pw", "fl_gamma", "obj_pw"),
        "sides of anchors and boxes match up to a factor of 4": ("anchor_t", "iou_t"),
        "it concerns detection, not training": (
            *("agnostic_nms", "augment", "compile", "conf", "dnn", "embed", "end2end", "half", "iou", "line_width"),
            *("max_det", "retina_masks", "save_conf", "save_crop", "save_frames", "save_hybrid", "save_txt", "show"),
            *("show_boxes", "show_conf", "show_labels", "source", "stream_buffer", "tracker", "vid_stride"),
            "visualize",
        ),
        "it concerns export, not training": (
            *("dynamic", "format", "int8", "keras", "nms", "opset", "optimize", "quantize", "simplify", "workspace"),
        ),
    }
)
REASONS: Mapping[str, str] = MappingProxyType({key: why for why, keys in WITHOUT_MEANING.items() for key in keys})


def translated(stated: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return `stated` with the names and values that settings have here, without keys of no meaning; or ValueError."""
    found: dict[Any, Any] = {}
    for key, value in stated.items():
        name, known = NAMES.get(key, key), VALUES.get(key, {})
        if name in found:
            raise ValueError(f"expected {name} once, found it as {key} too")
        if key not in REASONS:
            found[name] = known.get(value, value) if isinstance(value, bool | str) else value
    return found


def remarks(stated: Mapping[Any, Any]) -> Iterator[str]:
    """Yield a sentence for each reason why `stated` keys have no meaning here; one that is off or empty needs none."""
    for reason, keys in WITHOUT_MEANING.items():
        if unused := [key for key in stated if key in keys and stated[key]]:
            yield f"{', '.join(unused)} {'is' if len(unused) == 1 else 'are'} not used: {reason}"
    if stated.get("optimizer") == "auto":
        yield "optimizer: auto is sgd here, with the lr0 and the momentum that are stated"
