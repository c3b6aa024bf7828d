"""A training as a folder: what begins one, what is refused, and what it goes on from."""

import re
from pathlib import Path

import pytest
import torch

from streamdet.data.check import check
from streamdet.data.dataset import Dataset, read_dataset
from streamdet.errors import InputError, StreamdetError
from streamdet.models.table import load_spec
from streamdet.models.weights import LoadedModel, Network, load_model, save_safetensors
from streamdet.train.anchors import best_possible_recall
from streamdet.train.run import TrainRun, recorded, resume, start, trainable
from tests.data.pictures import write_set

from .rectangles import CLASS_NAMES, write_data_set
from .small_training import SETTINGS, small_network, write_small_table

OBJECT = "0 0.5 0.5 0.2 0.4"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_data_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_small_table(tmp_path_factory.mktemp("model"))


@pytest.fixture
def small_weights(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    torch.manual_seed(5)
    network = small_network()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    save_safetensors(LoadedModel(network.eval()), path)
    return path


def told(data: Dataset, model: str | None, weights: Path | None = None, **changes: object) -> TrainRun:
    return TrainRun(data.path, model, weights, SETTINGS.model_copy(update={"epochs": 1, **changes}))


def tensors(network: Network) -> dict[str, torch.Tensor]:
    return dict(network.state_dict())


def saved(out: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(out / "state.pt", weights_only=True)["tensors"]["network"]
    return found


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_folder_that_holds_anything_is_refused_and_loses_nothing(data: Dataset, small: str, tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").write_text("of last week")
    (tmp_path / "state.pt").write_text("too")
    with pytest.raises(InputError, match=r"exists already: give another --out, or go on with --resume "):
        start(told(data, small), data, tmp_path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "best.safetensors": "of last week",
        "state.pt": "too",
    }


@pytest.mark.parametrize("traces", [(), (".state.pt.7-7.part",), ("state.pt",)])
def test_what_was_killed_before_it_began_is_no_obstacle(
    data: Dataset, small: str, tmp_path: Path, traces: tuple[str, ...]
) -> None:
    for name in traces:
        (tmp_path / name).write_text("half a sta")
    start(told(data, small), data, tmp_path)
    assert resume(recorded(tmp_path), data, tmp_path).position.epoch == 0


@pytest.mark.parametrize(
    ("model", "weights", "imgsz", "message"),
    [
        ("yolov8q", None, 64, "unknown scale 'q'"),
        (None, "none.pt", 64, r"none\.pt"),
        ("yolov8n", None, 72, "expected a multiple of the model's stride 32, found 72"),
    ],
)
def test_what_cannot_be_trained_leaves_no_folder(
    data: Dataset, tmp_path: Path, model: str | None, weights: str | None, imgsz: int, message: str
) -> None:
    run = told(data, model, Path(weights) if weights else None, imgsz=imgsz)
    with pytest.raises(InputError, match=message):
        start(run, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_named(data: Dataset, small: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StreamdetError, match="file/out: the training cannot be written there: Not a directory"):
        start(told(data, small), data, tmp_path / "file" / "out")


def test_what_was_told_is_known_from_anywhere(
    data: Dataset, small: str, small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(small).parent)
    given = TrainRun(data.path, "small.yaml", small_weights, SETTINGS.model_copy(update={"box": 3.0}))
    start(given, data, tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    assert recorded(tmp_path / "out") == TrainRun(data.path, small, small_weights, given.settings)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, "expected the folder of a training with training.yaml, found none"),
        ("", "expected the folder of a training with training.yaml, found none"),
        ("epochs: 3", "expected the folder of a training with training.yaml, found none"),
        ("[]", "expected the record of a training in YAML, but it cannot be read: keys and values were expected"),
        ("data: [", "expected the record of a training in YAML, but it cannot be read: line 2: "),
        ("\0", "expected the record of a training in YAML, but it cannot be read: "),
    ],
)
def test_a_folder_without_a_record_is_no_training(tmp_path: Path, record: str | None, message: str) -> None:
    if record is not None:
        (tmp_path / "training.yaml").write_text(record)
    with pytest.raises(InputError, match=re.escape(message)):
        recorded(tmp_path)


def test_one_that_was_killed_before_its_first_batch_goes_on(data: Dataset, small: str, tmp_path: Path) -> None:
    undisturbed, _ = start(told(data, small), data, tmp_path / "undisturbed")
    undisturbed.run()
    start(told(data, small), data, tmp_path / "killed")
    resume(recorded(tmp_path / "killed"), data, tmp_path / "killed").run()
    name = "last.safetensors"
    assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


def test_the_seed_decides_the_weights(data: Dataset, small: str) -> None:
    one, same, other = (told(data, small, seed=seed).network(CLASS_NAMES)[0] for seed in (1, 1, 2))
    assert_same(tensors(one), tensors(same))
    assert not torch.equal(tensors(one)["model.0.conv.weight"], tensors(other)["model.0.conv.weight"])


def test_the_seed_decides_the_examples(data: Dataset, small: str, small_weights: Path, tmp_path: Path) -> None:
    ends = []
    for seed in (1, 2):
        training, _ = start(told(data, small, small_weights, seed=seed), data, tmp_path / str(seed))
        training.run()
        ends.append(saved(tmp_path / str(seed))["model.0.conv.weight"])
    assert not torch.equal(*ends)


def test_all_weights_of_the_same_model_are_taken(data: Dataset, small: str, small_weights: Path) -> None:
    network, taken = told(data, small, small_weights).network(CLASS_NAMES)
    given = tensors(load_model(small_weights).module)
    assert taken == len(given)
    assert_same(tensors(network), given)


def test_of_other_classes_only_their_scores_start_at_random(data: Dataset, small: str, small_weights: Path) -> None:
    names = ("red", "green", "blue")
    network, taken = told(data, None, small_weights).network(names)
    assert network.spec.class_names == names
    given, alone = tensors(load_model(small_weights).module), tensors(told(data, small).network(names)[0])
    found = tensors(network)
    random = {key for key in found if found[key].shape != given[key].shape}
    assert random == {"model.3.cv3.0.2.weight", "model.3.cv3.0.2.bias"}
    assert taken == len(found) - len(random)
    assert_same(found, {key: (alone if key in random else given)[key] for key in found})


def test_another_process_loads_the_same_examples(data: Dataset, small: str, tmp_path: Path) -> None:
    weights = []
    for workers in (0, 1):
        training, _ = start(told(data, small, workers=workers), data, tmp_path / str(workers))
        assert training.run()
        weights.append((tmp_path / str(workers) / "last.safetensors").read_bytes())
    assert weights[0] == weights[1]


def anchors_px(weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """The anchors (9, 2) among `weights`, which count in cells."""
    (cells,) = (tensor for key, tensor in weights.items() if key.endswith(".anchors"))
    return (cells * torch.tensor([8.0, 16.0, 32.0])[:, None, None]).reshape(-1, 2)


def test_an_anchor_model_is_fitted_to_tiny_boxes_and_trained(tmp_path: Path) -> None:
    data = write_data_set(tmp_path, 6)
    shares = [(0.04 + 0.004 * index, 0.045) for index in range(6)]
    for image, (width, height) in zip(data.train, shares, strict=True):
        image.label.write_text(f"0 0.5 0.5 {width} {height}\n")
    sizes_px = [(64 * width, 64 * height) for width, height in shares]
    table = anchors_px(tensors(Network(load_spec("yolov5n"))))
    assert best_possible_recall(table, sizes_px) == 0

    training, _ = start(told(data, "yolov5n", mosaic=0), data, tmp_path / "out")
    fitted = anchors_px(saved(tmp_path / "out"))
    assert best_possible_recall(fitted, sizes_px) == 1
    assert training.run()
    trained = load_model(tmp_path / "out" / "last.safetensors").module
    torch.testing.assert_close(anchors_px(tensors(trained)), fitted)

    start(told(data, "yolov5n", autoanchor=False), data, tmp_path / "kept")
    torch.testing.assert_close(anchors_px(saved(tmp_path / "kept")), table)


@pytest.mark.parametrize(
    ("labels", "split", "example"),
    [
        (
            {"train/a.png": "80 0.5 0.5 0.2 0.4", "val/b.png": OBJECT},
            "train",
            "line 1: 80 0.5 0.5 0.2 0.4: unknown class",
        ),
        ({"train/a.png": OBJECT, "val/b.png": "0, 0.5, 0.5, 0.2, 0.4"}, "val", "0, 0.5, 0.5, 0.2, 0.4: not a box"),
        ({"train/a.png": None, "val/b.png": OBJECT}, "train", "a.png: no label file"),
        ({"train/a.png": OBJECT, "val/b.png": ""}, "val", "b.png: no objects"),
    ],
)
def test_data_without_an_object_of_its_classes_is_refused(
    tmp_path: Path, labels: dict[str, str | None], split: str, example: str
) -> None:
    write_set(tmp_path, labels)
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [person]")
    with pytest.raises(InputError) as refused:
        trainable(check(read_dataset(tmp_path / "data.yaml")))
    assert f"expected objects of its classes in {split}, found none; " in str(refused.value)
    assert str(refused.value).endswith(example)
