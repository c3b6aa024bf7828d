"""Injected faults: each must become a finding with the advice that repairs it, and hide no other finding."""

import json
import os
import subprocess
import sys
import warnings
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from streamdet import doctor, headroom
from streamdet.doctor import diagnose
from streamdet.headroom import Check
from streamdet.video import decoder, encoder

CORE = ("torch", "opencv-python", "av", "numpy", "scipy", "lap", "filterpy", "pydantic", "pyyaml", "cyclopts", "rich")


def found(name: str) -> Check:
    """Return the one finding of that name."""
    (check,) = [check for check in diagnose() if check.name == name]
    return check


def break_import(monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    def broken(module: str) -> ModuleType:
        if module == name:
            raise ImportError(message)
        return import_module(module)

    monkeypatch.setattr(doctor, "import_module", broken)


def owned_by(monkeypatch: pytest.MonkeyPatch, name: str, *distributions: str) -> None:
    """Let `distributions` have installed the package `name`."""
    real = metadata.packages_distributions()
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {**real, name: list(distributions)})


def with_driver(monkeypatch: pytest.MonkeyPatch, cuda: str | None) -> None:
    """Let there be an NVIDIA driver, and a torch built for CUDA version `cuda`."""
    monkeypatch.setattr(doctor, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", cuda)


def test_a_working_installation() -> None:
    checks = {check.name: check for check in diagnose()}
    assert len(checks) == len(diagnose())
    assert {name: (checks[name].status, checks[name].found) for name in CORE} == {
        name: ("ok", metadata.version(name)) for name in CORE
    }
    assert all(checks[f"{name} decoder"].status == "ok" for name in ("h264", "hevc", "av1", "vp9"))
    assert checks["h264 encoder"].found == "libx264"
    assert "libavcodec" in checks["ffmpeg"].found
    assert checks["cpu"].found.count(",") >= 2
    assert all(check.advice for check in checks.values() if check.status != "ok")


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        (
            "libGL.so.1: cannot open shared object file: No such file or directory",
            "install libGL.so.1: apt-get install libgl1 (Debian, Ubuntu) or dnf install mesa-libGL (Fedora)",
        ),
        (
            "libfoo-2.so.7: cannot open shared object file: No such file or directory",
            "install the system package that holds libfoo-2.so.7: "
            "apt-file search libfoo-2.so.7 or dnf provides '*/libfoo-2.so.7'",
        ),
        ("DLL load failed", "reinstall it: pip install --force-reinstall opencv-python"),
    ],
)
def test_an_import_that_fails(monkeypatch: pytest.MonkeyPatch, message: str, advice: str) -> None:
    break_import(monkeypatch, "cv2", message)
    assert found("opencv-python") == Check("opencv-python", "fail", f"import cv2 fails: {message}", advice)


def test_two_builds_of_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    owned_by(monkeypatch, "cv2", "opencv-python", "opencv-python-headless")
    check = found("import cv2")
    assert check.status == "warn"
    assert check.found == "opencv-python and opencv-python-headless overwrite each other's files"
    assert check.advice == (
        "keep one: pip uninstall opencv-python opencv-python-headless, then pip install opencv-python"
    )


def test_another_project_installed_trackers(monkeypatch: pytest.MonkeyPatch) -> None:
    owned_by(monkeypatch, "trackers", "trackers", "streamdet")
    assert found("import trackers") == Check(
        "import trackers",
        "fail",
        "the project trackers installs a package of the same name",
        "pip uninstall trackers, then reinstall streamdet; or give streamdet an environment of its own",
    )


def test_foreign_and_broken_packages_on_the_path(tmp_path: Path) -> None:
    """A real interpreter, where `trackers` and `demo` are another project's, cv2 lacks a library and av is damaged."""
    sources = {
        "trackers": "",
        "demo": "",
        "cv2": "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')",
        "av": "raise OSError('damaged')",
    }
    for name, source in sources.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(source)
    script = (
        "import sys, json; from dataclasses import astuple; from streamdet.doctor import diagnose\n"
        "assert not {'torch', 'av', 'cv2', 'numpy', 'rich'} & set(sys.modules), 'importing doctor must stay light'\n"
        "print(json.dumps([astuple(check) for check in diagnose()]))"
    )
    root = str(Path(doctor.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), root])}
    output = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:expected the package trackers", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=True,
    )
    checks = {check.name: check for check in (Check(*fields) for fields in json.loads(output.stdout))}
    assert checks["import trackers"] == Check(
        "import trackers",
        "fail",
        f"finds {tmp_path / 'trackers'}, which is not part of streamdet ({root}/trackers)",
        f"rename it, or take {tmp_path} off the import path (PYTHONPATH, the current folder)",
    )
    assert (checks["import demo"].status, checks["import demo"].advice) == ("warn", checks["import trackers"].advice)
    assert checks["opencv-python"].advice.startswith("install libGL.so.1: apt-get install libgl1 ")
    assert checks["av"].advice == "reinstall it: pip install --force-reinstall av"
    assert checks["decoders"].found == "could not be examined: OSError: damaged"
    assert checks["torch"].status == "ok"


@pytest.mark.parametrize(("average", "status"), [(0.2, "ok"), (2.0, "ok"), (2.1, "warn")])
def test_other_processes_are_told(average: float, status: str) -> None:
    check = headroom.load(average, cores=4)
    assert (check.status, check.found.startswith(f"{average} on 4 cores in the last minute")) == (status, True)
    assert bool(check.advice) == (status == "warn")


def test_too_little_space_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert found("disk").status == "ok"
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=2**28))
    assert found("disk") == Check("disk", "warn", f"only 0.2 GiB free in {tmp_path}", "free some, or work elsewhere")


def test_a_cache_that_cannot_be_written_makes_every_start_slow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    check = found("cache")
    assert (check.status, check.advice) == ("warn", "set XDG_CACHE_HOME to a folder that can be written")
    assert check.found.endswith("(Not a directory): every start converts its model again")


@pytest.mark.parametrize(
    ("missing", "status", "start"),
    [
        ((), "ok", "OpenVINO"),
        (("openvino",), "warn", "ONNX Runtime computes on the CPU, which takes longer"),
        (("openvino", "onnxruntime"), "warn", "torch computes on the CPU, which takes longer"),
        (("onnx",), "warn", "torch computes"),
    ],
)
def test_a_backend_that_is_slower_is_told(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], status: str, start: str
) -> None:
    monkeypatch.setattr(headroom, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(headroom, "find_spec", lambda name: None if name in missing else find_spec(name))
    check = found("backend")
    assert (check.status, check.found.startswith(start)) == (status, True)
    assert check.advice == ("pip install 'streamdet[cpu]'" if status == "warn" else "")


def test_a_cpu_without_avx2_and_a_limit_of_cores_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    info = "model name\t: Old One\nflags\t\t: fpu sse2\n"
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    monkeypatch.setattr(Path, "read_text", lambda path: info)
    monkeypatch.setattr(headroom, "core_count", lambda: 2)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    named, lacking, _ = headroom.cpu()
    assert named.found == "Old One, 2 cores of 64, by the limits of this process, vector extensions unknown"
    assert (lacking.status, lacking.found) == ("warn", "no AVX2, so that detection takes several times as long")


def test_a_gpu_is_named_with_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = SimpleNamespace(name="NVIDIA T4", total_memory=16 * 2**30, major=7, minor=5)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: gpu)
    assert found("cuda:0") == Check("cuda:0", "ok", "NVIDIA T4, 16 GiB, compute capability 7.5")


def test_without_a_gpu_cuda_stays_untouched() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    diagnose()
    assert not torch.cuda.is_initialized()  # type: ignore[no-untyped-call]


def test_a_cpu_build_of_torch_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with_driver(monkeypatch, None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check = found("cuda")
    assert (check.status, check.found) == ("warn", "an NVIDIA driver, but torch is a build for the CPU only")
    assert check.advice == "install a CUDA build of torch, as its installation page describes for this driver"


def test_a_driver_that_torch_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_old() -> bool:
        warnings.warn("The NVIDIA driver on your system is too old", stacklevel=1)
        return False

    with_driver(monkeypatch, "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", too_old)
    check = found("cuda")
    assert check.status == "warn"
    assert check.found.endswith("torch (CUDA 13.0) finds no GPU: The NVIDIA driver on your system is too old")
    assert check.advice == "run nvidia-smi; update the driver or install the torch build that fits it"


def test_without_a_driver_the_cpu_decodes_and_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    for name in ("cuda decoder", "h264_nvenc encoder"):
        assert found(name) == Check(name, "ok", "not usable without an NVIDIA driver; the CPU does its work")


def test_a_gpu_whose_codecs_do_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with_driver(monkeypatch, None)
    monkeypatch.setattr(decoder, "cuda_refusals", lambda: {"h264": "none can be opened", "vp9": "it gave no picture"})
    monkeypatch.setattr(encoder, "nvenc_refusal", lambda: "no session left")
    decoding, encoding = found("cuda decoder"), found("h264_nvenc encoder")
    assert decoding.status == encoding.status == "warn"
    does_not = "does not work, so that the CPU does its work"
    assert decoding.found == f"{does_not}: h264: none can be opened; vp9: it gave no picture"
    assert encoding.found == f"{does_not}: no session left"
    assert decoding.advice == encoding.advice
    assert "libnvcuvid and libnvidia-encode" in decoding.advice


def test_a_gpu_is_reported_with_what_it_is_used_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "cuda_refusals", lambda: {"h264": None, "hevc": None, "av1": "none can be opened"})
    monkeypatch.setattr(encoder, "nvenc_refusal", lambda: None)
    used = "works and is used for h264"
    assert found("cuda decoder") == Check("cuda decoder", "ok", f"{used}, hevc; not for av1: none can be opened")
    assert found("h264_nvenc encoder") == Check("h264_nvenc encoder", "ok", used)


@pytest.mark.parametrize(("video_format", "status"), [("av1", "warn"), ("h264", "fail")])
def test_a_decoder_that_ffmpeg_lacks(monkeypatch: pytest.MonkeyPatch, video_format: str, status: str) -> None:
    monkeypatch.setitem(doctor._DECODERS, video_format, ("no-such-codec",))
    check = found(f"{video_format} decoder")
    assert check.status == status
    assert check.found.startswith("no-such-codec: UnknownCodecError")
    assert check.advice.endswith("pip install --force-reinstall --only-binary av av")


def test_an_extra_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "gradio" else find_spec(name))
    expected = Check("gradio", "ok", "not installed, optional", "to get it: pip install 'streamdet[demo]'")
    assert found("gradio") == expected


def test_shipped_configs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "configs" / "models").mkdir(parents=True)
    (tmp_path / "configs" / "models" / "yolov8.yaml").touch()
    monkeypatch.setattr(doctor, "resource", tmp_path.joinpath)
    assert found("configs/models") == Check("configs/models", "ok", "yolov8")
    missing = found("configs/trackers")
    assert (missing.status, missing.found) == ("fail", f"no YAML file in {tmp_path / 'configs' / 'trackers'}")
    assert missing.advice == "reinstall streamdet: pip install --force-reinstall streamdet"


def test_a_probe_that_crashes_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> Any:
        raise RuntimeError("metadata is damaged")

    before = {check.name for check in diagnose()}
    monkeypatch.setattr(metadata, "packages_distributions", crash)
    crashed = found("import names")
    assert (crashed.status, crashed.found) == ("fail", "could not be examined: RuntimeError: metadata is damaged")
    lost = before - {check.name for check in diagnose()}
    assert lost == {name for name in before if name.startswith("import ")}
