from pathlib import Path
from typing import Any

import pytest

from streamdet.errors import InputError
from streamdet.files import resource
from streamdet.train.config import TrainConfig, read_train_config, unused_settings
from streamdet.train.ultralytics import NAMES, REASONS, VALUES, WITHOUT_MEANING


def written(folder: Path, text: str) -> Path:
    path = folder / "train.yaml"
    path.write_text(text)
    return path


def test_without_a_file_all_is_as_published() -> None:
    settings = read_train_config(None, {})
    rates = (settings.lr0, settings.lrf, settings.momentum, settings.weight_decay, settings.warmup_epochs)
    assert rates == (0.01, 0.01, 0.937, 5e-4, 3)
    assert (settings.hsv_h, settings.hsv_s, settings.hsv_v) == (0.015, 0.7, 0.4)
    assert (settings.scale, settings.translate, settings.fliplr, settings.mosaic) == (0.5, 0.1, 0.5, 1)


def test_changes_stand_above_the_file_and_the_file_above_the_defaults(tmp_path: Path) -> None:
    settings = read_train_config(written(tmp_path, "epochs: 7\nbatch: 3\n"), {"batch": 5})
    assert (settings.epochs, settings.batch, settings.imgsz) == (7, 5, TrainConfig().imgsz)
    assert read_train_config(written(tmp_path, ""), {}) == TrainConfig()


def test_the_shipped_file_is_valid() -> None:
    assert read_train_config(resource("configs/train/embedded.yaml"), {}).optimizer == "adamw"


@pytest.mark.parametrize(
    ("text", "changes", "sentence"),
    [
        ("epoch: 7", {}, "train.yaml, line 1: unknown key 'epoch'; did you mean 'epochs'?"),
        ("", {"mosiac": 0.5}, "unknown key 'mosiac'; did you mean 'mosaic'?"),
        ("7: 8", {}, "train.yaml, line 1: unknown key 7; known: "),
        ("mixup: 1.5", {}, "mixup: Input should be less than or equal to 1, found 1.5"),
        ("epochs: 3\nlr0: 0", {}, "train.yaml, line 2: lr0: Input should be greater than 0, found 0"),
        ("lr0: .inf", {}, "lr0: Input should be a finite number, found inf"),
        ("weight_decay: .nan", {}, "weight_decay: Input should be a finite number, found nan"),
        ("epochs: many", {}, "epochs: Input should be a valid integer, .* found 'many'"),
        ("optimizer: adam", {}, "optimizer: Input should be 'sgd' or 'adamw', found 'adam'"),
        ("epochs: 3\namp: 2", {}, "train.yaml, line 2: mixed_precision: Input should be a valid boolean, .* found 2"),
        ("cache: disk", {}, "train.yaml, line 1: cache: Input should be a valid boolean, .* found 'disk'"),
        ("optimizer: Adam", {}, "line 1: optimizer: Input should be 'sgd' or 'adamw', found 'Adam'"),
        ("cos_lrs: true", {}, "line 1: unknown key 'cos_lrs'; did you mean 'cos_lr'?"),
        ("cos_lr: true\ncosine: true", {}, "train.yaml: expected cosine once, found it as cosine too"),
        ("", {"project": "x"}, "project is not used: the command line states data, model, device and folder"),
        ("imgsz: [640, 7]", {}, "line 1: imgsz: Input should be a valid integer, found \\[640, 7\\]"),
        ("imgsz: [640, 480]\nmulti_scale: 0.5", {}, "expected imgsz 640, the largest of sizes, and multi_scale 0"),
        ("box_loss: l2", {}, "line 1: box_loss: Input should be 'ciou', 'giou', 'diou', 'siou' or 'iou', found 'l2'"),
        ("perspective: 0.1", {}, "line 1: perspective: Input should be less than or equal to 0.001, found 0.1"),
        ("fraction: 0", {}, "line 1: fraction: Input should be greater than 0, found 0"),
        ("classes: [1.5]", {}, "line 1: classes: Input should be a valid integer, found \\[1.5\\]"),
        ("freeze: -1", {}, "line 1: freeze: Input should be greater than or equal to 0, found -1"),
        ("freeze: [-1]", {}, "line 1: freeze: Input should be .*, found "),
        ("scale: 1", {}, "scale: Input should be less than 1, found 1"),
        (
            "[1, 2]",
            {},
            "train.yaml: expected settings such as epochs: 100 in YAML, .* expected at the top, found \\[1, 2\\]",
        ),
        ("a: [", {}, "train.yaml: expected settings such as epochs: 100 in YAML, but it cannot be read: line 2: "),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    tmp_path: Path, text: str, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        read_train_config(written(tmp_path, text), changes)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.yaml: expected settings .* cannot be read: No such file"):
        read_train_config(tmp_path / "none.yaml", {})


def test_a_list_of_sides_is_sizes_and_the_largest_is_the_size() -> None:
    settings = read_train_config(None, {"imgsz": [320, 640, 480]})
    assert (settings.imgsz, settings.sizes) == (640, [320, 640, 480])
    assert read_train_config(None, settings.model_dump()) == settings
    assert read_train_config(None, {"imgsz": [320]}) == read_train_config(None, {"imgsz": 320})


# Settings as ultralytics writes them beside its weights, in args.yaml; numbers that differ from the defaults here.
ARGS = """
task: detect
mode: train
model: yolov8n.pt
data: coco128.yaml
epochs: 50
time: null
patience: 20
batch: 8
imgsz: 320
save: true
cache: ram
device: null
workers: 4
project: null
name: train
optimizer: auto
verbose: true
seed: 3
deterministic: true
single_cls: true
classes: [0, 2]
fraction: 0.5
cos_lr: true
close_mosaic: 5
amp: false
freeze: 10
multi_scale: true
overlap_mask: true
dropout: 0.0
val: true
conf: null
iou: 0.7
lr0: 0.02
lrf: 0.1
momentum: 0.9
weight_decay: 0.001
warmup_epochs: 2.0
warmup_momentum: 0.7
warmup_bias_lr: 0.05
box: 7.0
cls: 0.4
dfl: 1.4
pose: 12.0
kobj: 1.0
label_smoothing: 0.1
nbs: 32
hsv_h: 0.01
degrees: 5.0
perspective: 0.0005
flipud: 0.1
mosaic: 0.9
mixup: 0.2
copy_paste: 0.1
copy_paste_mode: mixup
save_period: -1
auto_augment: randaugment
"""


def test_settings_of_ultralytics_are_read(tmp_path: Path) -> None:
    assert read_train_config(written(tmp_path, ARGS), {"epochs": 2}) == TrainConfig(
        epochs=2,
        patience=20,
        batch=8,
        imgsz=320,
        cache=True,
        workers=4,
        freeze=10,
        single_cls=True,
        classes=[0, 2],
        fraction=0.5,
        optimizer="sgd",
        seed=3,
        cosine=True,
        close_mosaic=5,
        mixed_precision=False,
        multi_scale=0.5,
        lr0=0.02,
        lrf=0.1,
        momentum=0.9,
        weight_decay=0.001,
        warmup_epochs=2,
        warmup_momentum=0.7,
        warmup_bias_lr=0.05,
        box=7.0,
        cls=0.4,
        dfl=1.4,
        pose=12,
        kobj=1,
        label_smoothing=0.1,
        nominal_batch=32,
        hsv_h=0.01,
        degrees=5,
        perspective=0.0005,
        flipud=0.1,
        mosaic=0.9,
        mixup=0.2,
        copy_paste=0.1,
        copy_paste_mode="mixup",
    )


def test_each_key_without_meaning_is_named_once_and_one_that_is_off_not_at_all(tmp_path: Path) -> None:
    path = written(tmp_path, ARGS)
    assert unused_settings(path) == [
        f"{path}: {sentence}"
        for sentence in (
            "model, data, name are not used: the command line states data, model, device and folder",
            "task, mode are not used: the command and the model decide what is done",
            "save, verbose are not used: weights, curves and a state are saved after every epoch",
            "deterministic is not used: the same seed always gives the same training",
            "overlap_mask is not used: masks are learned one by one, at a quarter of the size of images",
            "auto_augment is not used: classifiers learn random parts of images, see scale, "
            "and cutout covers parts of them",
            "iou is not used: it concerns detection, not training",
            "optimizer: auto is sgd here, with the lr0 and the momentum that are stated",
        )
    ]
    assert unused_settings(None) == []


def test_no_key_is_both_a_setting_and_without_meaning() -> None:
    keys = [key for keys in WITHOUT_MEANING.values() for key in keys]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {*TrainConfig.model_fields, *NAMES, *VALUES}
    assert set(NAMES.values()) <= set(TrainConfig.model_fields)


# The keys of a settings file of ultralytics 8.4.190.
KEYS = """
agnostic_nms amp angle augment auto_augment batch bgr box cache cfg channels_last classes close_mosaic cls cls_pw
cls_remap compile conf copy_paste copy_paste_mode cos_lr cutmix data degrees deterministic device dfl dgrad dis
distill_model dlam dlog dnn dropout dynamic embed epochs erasing exist_ok fliplr flipud format fraction freeze hsv_h
hsv_s hsv_v imgsz iou kobj line_width lr0 lrf mask_ratio max_det mixup mode model momentum mosaic multi_scale name nbs
nms opset optimize optimizer overlap_mask patience perspective plots pose pretrained profile project quantize rect
resume retina_masks rle save save_conf save_crop save_frames save_json save_period save_txt scale seed shear show
show_boxes show_conf show_labels simplify single_cls source split stream_buffer task time tracker translate val
verbose vid_stride visualize warmup_bias_lr warmup_epochs warmup_momentum weight_decay workers workspace
"""


def test_every_key_of_a_whole_settings_file_is_known() -> None:
    assert set(KEYS.split()) <= {*TrainConfig.model_fields, *NAMES, *REASONS}
