"""Fixtures of all tests: the reference data, a cache folder, networks in files, the command line."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: a property test must not fail because the machine is busy.
settings.register_profile("streamdet", parent=settings(), deadline=None)
settings.load_profile("streamdet")

DATA = Path(os.environ.get("STREAMDET_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real weights, clips and ground truth; without it, tests that need it skip, or fail in CI."""
    if DATA.is_dir():
        return DATA
    reason = f"needs the reference data in {DATA} (set STREAMDET_DATA to its folder)"
    if os.environ.get("STREAMDET_REQUIRE_DATA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True, scope="session")
def heeds_interrupts() -> None:
    """Let Ctrl-C end commands that tests start: a shell ignores it in background jobs, and so do their children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that all tests share, so that weights are converted once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's cache out of the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_home))


@pytest.fixture(scope="session")
def weights(data: Path) -> Path:
    """The published weights of YOLOv8n."""
    return data / "weights" / "yolov8n.pt"


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLOv8 of half the width of the smallest, for cats and dogs, with random weights."""
    import torch
    import yaml

    from streamdet.files import resource
    from streamdet.models.table import resolve
    from streamdet.models.weights import LoadedModel, Network, save_safetensors

    table = yaml.safe_load(resource("configs/models/yolov8.yaml").read_text())
    table |= {"names": ["cat", "dog"], "nc": 2, "scales": {"n": [0.33, 0.125, 1024]}}
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    network = Network(resolve(table, "tiny")).eval()
    for module in network.head.modules():
        # The initial weights give scores near 0; with these, the scores are spread around a half.
        if isinstance(module, torch.nn.Conv2d) and module.bias is not None:
            module.reset_parameters()
    save_safetensors(LoadedModel(network), path)
    return path


@pytest.fixture
def write_onnx(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a network: the mean of each channel of its crops, or other nodes, shapes or types."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def write(
        nodes: "list[onnx.NodeProto] | None" = None,
        *,
        shapes: tuple[tuple[str | int, ...], ...] = (("b", 3, 8, 4),),
        element: int = TensorProto.FLOAT,
    ) -> Path:
        mean = helper.make_node("ReduceMean", ["crops0", "axes"], ["features"], keepdims=0)
        graph = helper.make_graph(
            nodes or [mean],
            "colours",
            [helper.make_tensor_value_info(f"crops{i}", element, shape) for i, shape in enumerate(shapes)],
            [helper.make_tensor_value_info("features", element, None)],
            [numpy_helper.from_array(np.array([2, 3]), "axes")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        path = tmp_path / "colours.onnx"
        onnx.save(model, path)
        return path

    return write


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip GPU tests on a machine without CUDA."""
    if not any(item.get_closest_marker("gpu") for item in items):
        return
    import torch

    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def streamdet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """A function that runs a command in this process, checks its exit code and returns its stderr and stdout."""

    from streamdet.cli.app import main

    def run(*arguments: object, code: int) -> str:
        monkeypatch.setattr(sys, "argv", ["streamdet", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        printed = captured.err + captured.out
        assert ended.value.code == code, printed
        return printed

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
