"""The checks of ``streamdet doctor``: versions, devices, codecs, extras, import names, shipped data.

Every probe reports what it finds and, if something is missing, how to get it. A probe that fails does not stop the
others.
"""

from __future__ import annotations

import platform
import re
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

import streamdet
from streamdet import headroom
from streamdet.files import resource
from streamdet.headroom import Check, Status
from streamdet.installation import REINSTALL, trackers_problem
from streamdet.machine import has_nvidia_driver

Probe = Callable[[], Iterator[Check]]

# Import name -> distribution.
_CORE = {
    "torch": "torch",
    "cv2": "opencv-python",
    "av": "av",
    "numpy": "numpy",
    "scipy": "scipy",
    "lap": "lap",
    "filterpy": "filterpy",
    "pydantic": "pydantic",
    "yaml": "pyyaml",
    "safetensors": "safetensors",
    "cyclopts": "cyclopts",
    "rich": "rich",
}
# Import name -> (distribution, extra of streamdet that brings it).
_EXTRAS = {
    "openvino": ("openvino", "cpu"),
    "nncf": ("nncf", "int8"),
    "onnx": ("onnx", "onnx"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "gradio": ("gradio", "demo"),
    "trackeval": ("trackeval", "eval"),
    "numba": ("numba", "fast"),
    "pi_heif": ("pi-heif", "heic"),
    "optuna": ("optuna", "tune"),
    "supervision": ("supervision", "interop"),
    "pyarrow": ("pyarrow", "parquet"),
    "paho": ("paho-mqtt", "live"),
    "prometheus_client": ("prometheus-client", "live"),
    "sqlalchemy": ("sqlalchemy", "live"),
    "httpx": ("httpx", "live"),
    "pycocotools": ("pycocotools", "train"),
    "matplotlib": ("matplotlib", "train"),
}
# Shared library -> packages (Debian and Ubuntu, Fedora).
_SYSTEM_LIBRARIES = {
    "libGL.so.1": ("libgl1", "mesa-libGL"),
    "libEGL.so.1": ("libegl1", "libglvnd-egl"),
    "libgthread-2.0.so.0": ("libglib2.0-0", "glib2"),
    "libgomp.so.1": ("libgomp1", "libgomp"),
    "libxcb.so.1": ("libxcb1", "libxcb"),
    "libSM.so.6": ("libsm6", "libSM"),
    "libXext.so.6": ("libxext6", "libXext"),
    "libXrender.so.1": ("libxrender1", "libXrender"),
}
# Format -> decoders that work without special hardware, unlike FFmpeg's own "av1".
_DECODERS = {
    "h264": ("h264",),
    "hevc": ("hevc",),
    "av1": ("libdav1d", "libaom-av1", "libgav1"),
    "vp9": ("vp9", "libvpx-vp9"),
}


def diagnose() -> list[Check]:
    """Return all findings about this machine and installation, in the order to read them; never raises."""
    probes: dict[str, Probe] = {
        "streamdet": _streamdet,
        "dependencies": _dependencies,
        "import names": _import_names,
        "cpu": headroom.cpu,
        "space": headroom.space,
        "cache": headroom.cache,
        "backend": headroom.backend,
        "cuda": _cuda,
        "ffmpeg": _ffmpeg,
        "decoders": _decoders,
        "encoders": _encoders,
        "extras": _extras,
        "configs": _configs,
    }
    return [check for name, probe in probes.items() for check in _guarded(name, probe)]


def _guarded(name: str, probe: Probe) -> Iterator[Check]:
    """Yield the findings of `probe`; an exception becomes a finding with the status "fail"."""
    try:
        yield from probe()
    except Exception as error:
        found = f"could not be examined: {type(error).__name__}: {error}"
        yield Check(name, "fail", found, "see the lines above; if they are fine, report this as a bug of streamdet")


def _streamdet() -> Iterator[Check]:
    yield Check("python", "ok", f"{platform.python_version()} on {platform.platform()}")
    yield Check("streamdet", "ok", f"{streamdet.__version__} in {Path(streamdet.__file__).parent}")


def _dependencies() -> Iterator[Check]:
    for module, distribution in _CORE.items():
        try:
            imported = import_module(module)
        except Exception as error:
            yield Check(
                distribution, "fail", f"import {module} fails: {error}", _import_advice(distribution, str(error))
            )
        else:
            yield Check(distribution, "ok", _version(distribution, getattr(imported, "__version__", "unknown version")))


def _import_advice(distribution: str, message: str) -> str:
    """Return how to repair an import that failed with `message`."""
    missing = re.search(r"(lib[\w.+-]+?\.so[.\d]*): cannot open shared object", message)
    if missing is None:
        return f"reinstall it: pip install --force-reinstall {distribution}"
    library = missing[1]
    if library in _SYSTEM_LIBRARIES:
        debian, fedora = _SYSTEM_LIBRARIES[library]
        return f"install {library}: apt-get install {debian} (Debian, Ubuntu) or dnf install {fedora} (Fedora)"
    return f"install the system package that holds {library}: apt-file search {library} or dnf provides '*/{library}'"


def _version(distribution: str, otherwise: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return str(otherwise)


def _import_names() -> Iterator[Check]:
    """Check for distributions that install the same packages: builds of OpenCV, and others' `trackers` and `demo`."""
    owners = metadata.packages_distributions()
    builds = sorted(set(owners.get("cv2", ())))
    if len(builds) > 1:
        advice = f"keep one: pip uninstall {' '.join(builds)}, then pip install opencv-python"
        yield Check("import cv2", "warn", f"{' and '.join(builds)} overwrite each other's files", advice)
    home = Path(streamdet.__file__).resolve().parents[1]
    yield _import_name("trackers", home / "trackers", owners.get("trackers", []), "fail")
    if (home / "demo").is_dir():
        yield _import_name("demo", home / "demo", owners.get("demo", []), "warn")


def _import_name(name: str, expected: Path, owners: list[str], trouble: Status) -> Check:
    """Check that ``import name`` finds the package at `expected`, whole, and that no other distribution installs it.

    `owners` are the distributions that install it; `trouble` is the status of a problem.
    """
    label = f"import {name}"
    others = " ".join(sorted(set(owners) - {"streamdet"}))
    if others:
        advice = f"pip uninstall {others}, then reinstall streamdet; or give streamdet an environment of its own"
        return Check(label, trouble, f"the project {others} installs a package of the same name", advice)
    spec = find_spec(name)
    if spec is None:
        return Check(label, trouble, "found nothing", "reinstall streamdet: pip install --force-reinstall streamdet")
    location = Path(next(iter(spec.submodule_search_locations or [str(spec.origin)]))).resolve()
    if location == expected and name == "trackers" and (problem := trackers_problem()):
        return Check(label, trouble, problem, REINSTALL)
    if location == expected:
        return Check(label, "ok", str(location))
    advice = f"rename it, or take {location.parent} off the import path (PYTHONPATH, the current folder)"
    return Check(label, trouble, f"finds {location}, which is not part of streamdet ({expected})", advice)


def _cuda() -> Iterator[Check]:
    """List the GPUs that torch finds; without one CUDA is not initialised."""
    import torch

    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index in range(count):
        gpu = torch.cuda.get_device_properties(index)
        found = f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, compute capability {gpu.major}.{gpu.minor}"
        yield Check(f"cuda:{index}", "ok", found)
    if count == 0:
        yield _no_gpu(torch.version.cuda, [str(complaint.message) for complaint in complaints])


def _no_gpu(torch_cuda: str | None, complaints: list[str]) -> Check:
    """Explain why torch, built for the CUDA version `torch_cuda`, finds no GPU; `complaints` are its warnings."""
    if not has_nvidia_driver():
        return Check("cuda", "ok", "no NVIDIA GPU; streamdet runs on the CPU")
    if torch_cuda is None:
        advice = "install a CUDA build of torch, as its installation page describes for this driver"
        return Check("cuda", "warn", "an NVIDIA driver, but torch is a build for the CPU only", advice)
    found = f"an NVIDIA driver, but torch (CUDA {torch_cuda}) finds no GPU: {' '.join(complaints) or 'no reason given'}"
    return Check("cuda", "warn", found, "run nvidia-smi; update the driver or install the torch build that fits it")


def _ffmpeg() -> Iterator[Check]:
    import av

    libraries = [f"{name} {'.'.join(map(str, version))}" for name, version in sorted(av.library_versions.items())]
    yield Check("ffmpeg", "ok", ", ".join(libraries))


def _decoders() -> Iterator[Check]:
    for video_format, decoders in _DECODERS.items():
        yield _software_codec(f"{video_format} decoder", {codec: _opening_error(codec) for codec in decoders})
    from streamdet.video.decoder import cuda_refusals

    refusals = cuda_refusals()
    used = ", ".join(video_format for video_format, refusal in refusals.items() if refusal is None)
    refused = "; ".join(f"{video_format}: {refusal}" for video_format, refusal in refusals.items() if refusal)
    yield _gpu_codec("cuda decoder", used, refused)


def _opening_error(decoder: str) -> str | None:
    """Return why `decoder` cannot be opened, or None."""
    import av

    try:
        av.CodecContext.create(decoder, "r").open()
    except (av.FFmpegError, av.codec.codec.UnknownCodecError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _encoders() -> Iterator[Check]:
    from streamdet.video.encoder import encoding_error, nvenc_refusal

    yield _software_codec("h264 encoder", {"libx264": encoding_error("libx264")})
    refusal = nvenc_refusal()
    yield _gpu_codec("h264_nvenc encoder", "" if refusal else "h264", refusal or "")


def _software_codec(name: str, errors: dict[str, str | None]) -> Check:
    """Report the first codec without an error; `errors` maps codecs to what is wrong with them, None for nothing."""
    for codec, error in errors.items():
        if error is None:
            return Check(name, "ok", codec)
    advice = "install the av wheel, which carries a full FFmpeg: pip install --force-reinstall --only-binary av av"
    found = "; ".join(f"{codec}: {error}" for codec, error in errors.items())
    return Check(name, "fail" if "h264" in name else "warn", found, advice)


def _gpu_codec(name: str, used: str, refused: str) -> Check:
    """Report a codec of the GPU: `used` are the formats it is used for, `refused` those it is not, with reasons."""
    if used:
        return Check(name, "ok", f"works and is used for {used}" + (f"; not for {refused}" if refused else ""))
    if not has_nvidia_driver():
        return Check(name, "ok", "not usable without an NVIDIA driver; the CPU does its work")
    advice = "install the driver's libnvcuvid and libnvidia-encode; in a container set NVIDIA_DRIVER_CAPABILITIES=all"
    return Check(name, "warn", f"does not work, so that the CPU does its work: {refused}", advice)


def _extras() -> Iterator[Check]:
    for module, (distribution, extra) in _EXTRAS.items():
        if find_spec(module) is None:
            yield Check(distribution, "ok", "not installed, optional", f"to get it: pip install 'streamdet[{extra}]'")
        else:
            yield Check(distribution, "ok", _version(distribution, "unknown version"))


def _configs() -> Iterator[Check]:
    for kind in ("models", "trackers"):
        names = sorted(path.stem for path in resource(f"configs/{kind}").glob("*.yaml"))
        if names:
            yield Check(f"configs/{kind}", "ok", ", ".join(names))
        else:
            advice = "reinstall streamdet: pip install --force-reinstall streamdet"
            yield Check(f"configs/{kind}", "fail", f"no YAML file in {resource(f'configs/{kind}')}", advice)
