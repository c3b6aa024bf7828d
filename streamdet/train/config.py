"""The settings of a training, with the published defaults of YOLOv8, and the YAML file that states them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from streamdet.errors import InputError, closest, shown
from streamdet.train.ultralytics import NAMES, REASONS, remarks, translated
from streamdet.yaml_file import key_line, read_yaml

BoxLoss = Literal["ciou", "giou", "diou", "siou", "iou"]
ClassLoss = Literal["bce", "focal", "varifocal", "quality_focal"]
AssignerName = Literal["task_aligned", "simota", "atss"]
Side = Annotated[int, Field(ge=32)]  # of a square image, in px
Share = Annotated[float, Field(ge=0, le=1)]
NotNegativeInt = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Augmentation(BaseModel):
    """How training images are changed.

    `hsv_h`, `hsv_s`, `hsv_v`, `translate` and `scale` are the largest relative changes, `degrees` and `shear` angles in
    degrees, the others probabilities per image. `perspective` is the largest change of scale per px from the middle of
    an image of 640 px. `copy_paste` is for masks: the share of the objects of the mirrored image (`copy_paste_mode`
    flip), or of another one (mixup), that are pasted into the image. `mixup_alpha` is both parameters of the Beta
    distribution of the shares of two images: the larger, the nearer to a half.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    hsv_h: Share = 0.015
    hsv_s: Share = 0.7
    hsv_v: Share = 0.4
    degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    translate: Share = 0.1
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.5
    shear: Annotated[float, Field(ge=0, lt=45)] = 0.0
    perspective: Annotated[float, Field(ge=0, le=0.001)] = 0.0
    flipud: Share = 0.0
    fliplr: Share = 0.5
    mosaic: Share = 1.0
    copy_paste: Share = 0.0
    copy_paste_mode: Literal["flip", "mixup"] = "flip"
    mixup: Share = 0.0
    mixup_alpha: Positive = 32.0
    cutmix: Share = 0.0
    cutout: Share = 0.0


class TrainConfig(Augmentation):
    """The settings of one training.

    - `batch`, `nominal_batch`: the gradients of several batches are summed up to about `nominal_batch` images.
    - `imgsz`: the side of the images in px, or a list of sides: then it is the largest of these `sizes`, of which one
      is drawn for every `size_batches` batches (YOLOv2, arXiv 1612.08242, section 2).
    - `fraction`, `classes`, `single_cls`: the part of the data to train with, see `streamdet.data.dataset.chosen_part`.
    - `freeze`: the number of layers at the beginning, or a list of layers, that do not learn, see
      `streamdet.train.schedule.freeze_layers`.
    - `lr0`, `lrf`, `cosine`: the first learning rate, the last one as a share of it, and whether the rates between them
      follow half a cosine instead of a line.
    - `box`, `cls`, `dfl`, `obj`, `seg`, `pose`, `kobj`, `angle`: gains of the loss; None is the published gain for the
      kind of model, anchor-free (box 7.5, cls 0.5, dfl 1.5; masks: seg 7.5; poses: pose 12, kobj 1; rotated boxes:
      angle 1), with anchors (box 0.05, cls 0.5, obj 1) or for whole images (cls 1).
    - `box_loss`, `class_loss`: see `streamdet.train.overlap` and `streamdet.train.class_loss`.
    - `assigner`: chooses the cells that learn an object, see `streamdet.train.assign`; None is task_aligned, or the
      match of shapes in models with anchors, which have no other.
    - `label_smoothing`: this share of what is wanted of the class of an object, half of it, is wanted of the others.
    - `autoanchor`: anchors that do not suit the data are replaced by fitted ones.
    - `close_mosaic`: the number of epochs at the end without mosaic.
    - `multi_scale`: the image size varies by up to this share from batch to batch.
    - `mixed_precision`: convolutions in fp16 on a GPU, in bf16 on a CPU that computes it (AVX-512 BF16, AMX).
    - `cache`: images are decoded once and kept in memory at `imgsz`, by each of the `workers`.
    - `patience`: the training ends after this number of epochs without a better mAP.
    - `save_s`: the time in s between two saved states.
    - `save_period`: the weights of every epoch N that it divides are kept as ``epochN.safetensors``; of none below 1.
    - `val`: whether epochs are validated, so that the best one is known.
    """

    epochs: Annotated[int, Field(ge=1)] = 100
    batch: Annotated[int, Field(ge=1)] = 16
    nominal_batch: Annotated[int, Field(ge=1)] = 64
    imgsz: Side = 640
    sizes: list[Side] = []
    size_batches: Annotated[int, Field(ge=1)] = 10
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    classes: NotNegativeInt | str | list[NotNegativeInt | str] | None = None
    single_cls: bool = False
    freeze: NotNegativeInt | list[NotNegativeInt] | None = None
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr0: Positive = 0.01
    lrf: Share = 0.01
    cosine: bool = False
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.937
    weight_decay: NotNegative = 5e-4
    warmup_epochs: NotNegative = 3.0
    warmup_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.8
    warmup_bias_lr: NotNegative = 0.1
    box: NotNegative | None = None
    cls: NotNegative | None = None
    dfl: NotNegative | None = None
    obj: NotNegative | None = None
    seg: NotNegative | None = None
    pose: NotNegative | None = None
    kobj: NotNegative | None = None
    angle: NotNegative | None = None
    box_loss: BoxLoss = "ciou"
    class_loss: ClassLoss = "bce"
    assigner: AssignerName | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    autoanchor: bool = True
    close_mosaic: NotNegativeInt = 10
    multi_scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    patience: Annotated[int, Field(ge=1)] = 100
    mixed_precision: bool = True
    seed: NotNegativeInt = 0
    workers: NotNegativeInt = 2
    cache: bool = False
    save_s: NotNegative = 60.0
    save_period: int = -1
    val: bool = True

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, stated: Any) -> Any:
        """Take a list for `imgsz` as `sizes`."""
        sides = stated.get("imgsz") if isinstance(stated, dict) else None
        if not isinstance(sides, list) or not sides or not all(isinstance(side, int) and side >= 32 for side in sides):
            return stated
        return stated | {"imgsz": max(sides), "sizes": sides if len(sides) > 1 else []}

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        if self.sizes and (max(self.sizes) != self.imgsz or self.multi_scale):
            raise ValueError(f"expected imgsz {max(self.sizes)}, the largest of sizes, and multi_scale 0 with several")
        return self


def read_train_config(path: Path | None, changes: dict[str, Any]) -> TrainConfig:
    """Return the settings in the YAML file at `path`, or the defaults for None, with `changes` applied.

    Names and values of ultralytics are taken too, see `streamdet.train.ultralytics`. Raises InputError for a file that
    cannot be read, unknown keys, changes of keys without meaning, and values that are not allowed.
    """
    stated = _stated(path)
    known = [*TrainConfig.model_fields, *NAMES]
    for key in (*stated, *changes):
        if key not in known and key not in REASONS:
            raise InputError(f"{_where(path, key)}: unknown key {shown(key)}{closest(str(key), known)}")
    for key in changes:
        if key in REASONS:
            raise InputError(f"{key} is not used: {REASONS[key]}")
    try:
        return TrainConfig.model_validate(translated(stated) | translated(changes))
    except ValidationError as error:
        first = error.errors()[0]
        names = [key for key in stated if NAMES.get(key, key) in first["loc"]]
        place = f"{_where(path, names[0])}: " if names and names[0] not in changes else ""
        setting, found = "".join(f"{name}: " for name in first["loc"][:1]), f", found {shown(first['input'])}"
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{place}{setting}{reason}{found if first['loc'] else ''}") from None
    except ValueError as error:
        raise InputError(f"{path or 'settings'}: {error}") from None


def unused_settings(path: Path | None) -> list[str]:
    """Return sentences about the keys in the YAML file at `path` that have no meaning here; none for None."""
    return [f"{path}: {sentence}" for sentence in remarks(_stated(path))]


def _stated(path: Path | None) -> dict[Any, Any]:
    return {} if path is None else read_yaml(path, "settings such as epochs: 100")


def _where(path: Path | None, key: object) -> str:
    """Return the file, and the line of `key` in it, for a message."""
    line = key_line(path, (str(key),)) if path else None
    return f"{path or 'settings'}{f', line {line}' if line else ''}"
