"""The settings of a training, with the published defaults of YOLOv8, and the YAML file that states them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamdet.errors import InputError, closest, shown
from streamdet.yaml_file import read_yaml

BoxLoss = Literal["ciou", "giou", "diou", "siou", "iou"]
ClassLoss = Literal["bce", "focal", "varifocal", "quality_focal"]
AssignerName = Literal["task_aligned", "simota", "atss"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Augmentation(BaseModel):
    """How training images are changed.

    `hsv_h`, `hsv_s`, `hsv_v`, `translate` and `scale` are the largest relative changes, `degrees` and `shear` angles in
    degrees, the others probabilities per image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    hsv_h: Share = 0.015
    hsv_s: Share = 0.7
    hsv_v: Share = 0.4
    degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    translate: Share = 0.1
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.5
    shear: Annotated[float, Field(ge=0, lt=45)] = 0.0
    flipud: Share = 0.0
    fliplr: Share = 0.5
    mosaic: Share = 1.0
    mixup: Share = 0.0
    cutmix: Share = 0.0
    cutout: Share = 0.0


class TrainConfig(Augmentation):
    """The settings of one training.

    - `batch`, `nominal_batch`: the gradients of several batches are summed up to about `nominal_batch` images.
    - `lr0`, `lrf`, `cosine`: the first learning rate, the last one as a share of it, and whether the rates between them
      follow half a cosine instead of a line.
    - `box`, `cls`, `dfl`, `obj`: gains of the loss; None is the published gain for the kind of model, anchor-free (box
      7.5, cls 0.5, dfl 1.5) or with anchors (box 0.05, cls 0.5, obj 1).
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
    """

    epochs: Annotated[int, Field(ge=1)] = 100
    batch: Annotated[int, Field(ge=1)] = 16
    nominal_batch: Annotated[int, Field(ge=1)] = 64
    imgsz: Annotated[int, Field(ge=32)] = 640
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
    box_loss: BoxLoss = "ciou"
    class_loss: ClassLoss = "bce"
    assigner: AssignerName | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    autoanchor: bool = True
    close_mosaic: Annotated[int, Field(ge=0)] = 10
    multi_scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    patience: Annotated[int, Field(ge=1)] = 100
    mixed_precision: bool = True
    seed: Annotated[int, Field(ge=0)] = 0
    workers: Annotated[int, Field(ge=0)] = 2
    cache: bool = False
    save_s: NotNegative = 60.0


def read_train_config(path: Path | None, changes: dict[str, Any]) -> TrainConfig:
    """Return the settings in the YAML file at `path`, or the defaults for None, with `changes` applied.

    Raises InputError for a file that cannot be read, unknown keys and values that are not allowed.
    """
    stated = {} if path is None else read_yaml(path, "settings such as epochs: 100")
    known = list(TrainConfig.model_fields)
    for key in (*stated, *changes):
        if key not in known:
            raise InputError(f"{path or 'settings'}: unknown key {shown(key)}{closest(str(key), known)}")
    try:
        return TrainConfig.model_validate(stated | changes)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{first['loc'][0]}: {first['msg']}, found {shown(first['input'])}") from None
