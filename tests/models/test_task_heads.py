"""The heads for silhouettes, key points, rotated boxes and whole images: training mode, and tables that do not fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from streamdet.errors import InputError
from streamdet.models.heads import RawMaps, anchor_points
from streamdet.models.table import ModelSpec, load_spec, resolve
from streamdet.models.task_heads import PoseHead, Prototypes, RotatedHead, SegmentHead, decode_points
from streamdet.models.weights import Network, load_model

CHANNELS, STRIDES_PX = [8, 16], [8, 16]
CELLS = 4 * 6 + 2 * 3


def features() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, c, 32 // s, 48 // s, generator=generator) for c, s in zip(CHANNELS, STRIDES_PX, strict=True)]


def both(head: torch.nn.Module) -> tuple[RawMaps, Tensor | tuple[Tensor, Tensor]]:
    """Return what `head` gives in training mode and in eval mode, for the same statistics of its batch norms."""
    torch.manual_seed(0)
    with torch.no_grad():
        evaluated = head.eval()(features())
        head.training = True  # of the head alone
        return head(features()), evaluated


def test_coefficients_and_prototypes_are_the_same_in_both_modes() -> None:
    raw, (found, prototypes) = both(SegmentHead(3, 32, 8, CHANNELS, STRIDES_PX))
    assert [tuple(m.shape) for m in raw.maps] == [(2, 64 + 3, 4, 6), (2, 64 + 3, 2, 3)]
    assert (tuple(raw.extras.shape), tuple(found.shape)) == ((2, 32, CELLS), (2, 4 + 3 + 32, CELLS))
    assert torch.equal(raw.extras, found[:, 7:])
    assert raw.prototypes is not None
    assert torch.equal(raw.prototypes, prototypes)
    assert tuple(prototypes.shape) == (2, 32, 8, 12)


def test_prototypes_are_upsampled_and_smoothed_in_one_step_also_at_the_border() -> None:
    torch.manual_seed(0)
    prototypes = Prototypes(8, 6, 4).double().eval()
    with torch.no_grad():
        expected = prototypes(image := torch.randn(2, 8, 3, 5).double())
        prototypes.unite()
        prototypes.unite()
        assert torch.allclose(prototypes(image), expected, rtol=0, atol=1e-12)
    kernels = [tuple(m.kernel_size) for m in prototypes.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert kernels == [(4, 4), (4, 4)]
    assert (3, 3) not in [m.kernel_size for m in prototypes.upsample.modules() if isinstance(m, torch.nn.Conv2d)]


@pytest.mark.parametrize("dims", [2, 3])
def test_key_points_of_logits_are_those_of_the_eval_mode(dims: int) -> None:
    raw, found = both(PoseHead(1, (5, dims), CHANNELS, STRIDES_PX))
    assert isinstance(found, Tensor)
    points, strides_px = anchor_points([(4, 6), (2, 3)], STRIDES_PX, torch.device("cpu"))
    logits, decoded = raw.extras.view(2, 5, dims, CELLS), found[:, 5:].view(2, 5, dims, CELLS)
    assert torch.allclose(decode_points(logits[:, :, :2], points.T) * strides_px.T, decoded[:, :, :2])
    assert torch.allclose(logits[:, :, 2:].sigmoid(), decoded[:, :, 2:])
    # A logit of 0 is the corner of its cell, half a cell before its centre; 1/4 the centre.
    assert decode_points(torch.zeros(2, 1), points.T[:, :1]).flatten().tolist() == [0, 0]
    assert decode_points(torch.full((2, 1), 0.25), points.T[:, :1]).flatten().tolist() == [0.5, 0.5]


def test_the_centre_of_a_rotated_box_turns_around_its_cell() -> None:
    head = RotatedHead(2, 1, [8], [8])
    quarter = math.log(3)  # sigma(t) = 3/4, an angle of pi / 2
    for layers, bias in ((head.cv4, quarter), (head.cv2, 0.0)):
        last = layers[0][2]  # type: ignore[index]
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.constant_(last.bias, bias)
    sides = torch.full((4, 16), -50.0)
    sides[[0, 1, 2, 3], [1, 2, 5, 4]] = 50.0  # left, top, right, bottom, in cells
    head.cv2[0][2].bias.data = sides.flatten()  # type: ignore[index]
    found = head.eval()([torch.zeros(1, 8, 1, 1)])[0, :, 0]
    assert torch.allclose(found[[2, 3, 6]], torch.tensor([48.0, 48.0, math.pi / 2]))
    # The box lies ((5 - 1) / 2, (4 - 2) / 2) cells of 8 px from the centre of the cell; a quarter turn makes (-1, 2).
    assert torch.allclose(found[:2], torch.tensor([4 - 8.0, 4 + 16.0]), atol=1e-4)


def test_a_classifier_trains_on_logits_of_its_probabilities() -> None:
    head = Network(load_spec("yolov8n-cls").with_classes(("a", "b", "c"))).head
    x = torch.randn(2, 256, 7, 7, generator=torch.Generator().manual_seed(0))
    probabilities = head.eval()(x)
    head.training = True
    assert torch.allclose(head(x).softmax(1), probabilities)


def test_spec_states_task_and_key_points() -> None:
    names = (
        "yolov8n",
        "yolov8s-seg",
        "yolov8m-pose",
        "yolov8l-obb",
        "yolov8x-cls",
        "yolov8n-pose-p6",
        "yolov8n-seg-p6",
    )
    specs = [load_spec(name) for name in names]
    tasks = ["detect", "segment", "pose", "obb", "classify", "pose", "segment"]
    assert [(spec.task, spec.kpt_shape) for spec in specs] == [(t, (17, 3) if t == "pose" else None) for t in tasks]
    assert all(ModelSpec.from_json(spec.to_json()) == spec for spec in specs)


@pytest.mark.parametrize("name", ["yolov8n-pose", "yolov8n-cls"])
def test_the_classes_of_tensors_alone_are_counted(tmp_path: Path, name: str) -> None:
    path = tmp_path / "tensors.pt"
    torch.save(Network(load_spec(name).with_classes(("a", "b", "c"))).state_dict(), path)
    assert load_model(path, name).class_names == ("0", "1", "2")


def test_a_network_for_other_classes_and_key_points(rule_network: Callable[[ModelSpec], Network]) -> None:
    spec = load_spec("yolov8n-pose").with_classes(("hand", "foot"), (4, 2))
    assert (spec.kpt_shape, spec.class_names) == ((4, 2), ("hand", "foot"))
    assert tuple(rule_network(spec)(torch.zeros(1, 3, 64, 64)).shape) == (1, 4 + 2 + 4 * 2, 84)
    with pytest.raises(InputError, match="expected kpt_shape for the task pose only, found the task detect"):
        load_spec("yolov8n").with_classes(("a",), (4, 2))
    with pytest.raises(InputError, match=r"expected kpt_shape as \[number of key points, 2 or 3\], found \(4, 7\)"):
        load_spec("yolov8n-pose").with_classes(("a",), (4, 7))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (["Pose", ["nc", "kpt_shape"]], r"expected kpt_shape as \[number of key points, 2 or 3\], found None"),
        (["Pose", ["nc"]], r"expected kpt_shape as \[number of key points, 2 or 3\], found nothing"),
        (["Pose", ["nc", [17, 4]]], r"expected kpt_shape as \[number of key points, 2 or 3\], found \(17, 4\)"),
        (["Segment", ["nc"]], "expected a whole number from 1 to 1000000 as channels of the prototypes, found None"),
        (["OBB", ["nc", 2]], "expected 1 angle for a box, found 2"),
        (["Segmnet", ["nc"]], "unknown module 'Segmnet'; did you mean 'Segment'"),
    ],
)
def test_heads_that_do_not_fit_are_refused(head: tuple[str, list[object]], message: str) -> None:
    down = [-1, 1, "Conv", [16, 3, 2]]
    with pytest.raises(InputError, match=message):
        resolve({"nc": 2, "backbone": [down] * 3, "head": [[[-1], 1, *head]]}, "t")
