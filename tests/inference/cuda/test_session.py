"""Pictures that a GPU decoded become images there: with decoders of the CPU, whose memory stands for the GPU's."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from streamdet.detect.detector import Detector
from streamdet.inference.cuda.session import CudaSession
from streamdet.inference.load import load_session
from streamdet.inference.session import ModelCard, Session
from streamdet.pipeline.pipeline import Pipeline
from streamdet.types import Frame, Planes
from streamdet.video import reader
from streamdet.video.picture import RgbConverter
from streamdet.video.source import open_source
from tests.video.clips import CODED_CLIPS
from tests.video.fake_gpu import interleaved

from .fake_device import FakeRuntime

CLIPS = ["bt709_full_range.mp4", "car-detection.mp4", "nasa_13013.mp4", "h265_video.mp4"]


def to_planes(frame: av.VideoFrame) -> Planes:
    luma, chroma = interleaved(frame).planes
    return Planes(luma, chroma, int(frame.colorspace), frame.color_range == 2)


@pytest.fixture
def session() -> CudaSession:
    network: Any = None
    return CudaSession(FakeRuntime(0), network, ModelCard(("cat",), 32))


def on_fake_device(by: Session, runtime: FakeRuntime) -> CudaSession:
    """Return the network of a session of torch on a fake device."""
    network: Any = by
    return CudaSession(runtime, network._network, by.card)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[av.VideoFrame]:
    """Let every picture of 8 bits be one that a GPU keeps; returns these."""
    pictures = []

    def keep(frame: av.VideoFrame) -> Planes:
        pictures.append(frame)
        return to_planes(frame)

    monkeypatch.setattr(reader, "kept_planes", keep)
    return pictures


@pytest.mark.parametrize("name", CLIPS)
def test_colours_are_those_of_the_host(data: Path, session: CudaSession, name: str) -> None:
    to_rgb = RgbConverter()
    with av.open(str(data / "videos" / name)) as container:
        for frame in islice(container.decode(video=0), 0, 60, 20):
            made = session.to_image(to_planes(frame))
            assert made is not None
            on_host, on_device = made
            assert np.abs(on_host.astype(int) - to_rgb(frame)).max() <= 2
            np.testing.assert_array_equal(on_device, on_host)


def test_pure_colours_have_their_published_codes(session: CudaSession) -> None:
    """ITU-T BT.709, 8 bits, limited range: red is Y 63, Cb 102, Cr 240; full range black is 0."""
    luma, chroma = torch.full((2, 2), 63, dtype=torch.uint8), torch.tensor([[[102, 240]]], dtype=torch.uint8)
    made = session.to_image(Planes(luma, chroma, 1, full_range=False))
    assert made is not None
    assert np.abs(made[0].astype(int) - [255, 0, 0]).max() <= 2
    made = session.to_image(Planes(luma * 0, chroma * 0 + 128, 1, full_range=True))
    assert made is not None
    assert made[0].max() == 0


def test_a_picture_on_another_device_is_left_to_the_host(session: CudaSession) -> None:
    session._runtime.device = torch.device("cuda:1")  # type: ignore[misc]
    plane = torch.zeros(2, 2, dtype=torch.uint8)
    assert session.to_image(Planes(plane, plane[None], 1, full_range=False)) is None


def test_frames_reach_the_slots_without_leaving_the_device(
    data: Path, tiny_weights: Path, kept: list[av.VideoFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = Detector(tiny_weights, device="cpu", backend="torch", size=64, conf=0.0)
    detector.session = on_fake_device(detector.session, FakeRuntime(1, goes_on=True))
    with open_source(data / "videos" / "car-detection.mp4", max_frames=5) as source:
        source.keep_on_device(detector.session.to_device)
        frames = list(source)
    assert len(kept) == 5
    # No image is copied from the host.
    monkeypatch.setattr("streamdet.inference.cuda.session.DeviceSlot._image_memory", None)
    for frame, (seen, found) in zip(frames, detector.stream(frames), strict=True):
        assert frame.on_device is not None
        np.testing.assert_array_equal(seen.image, frame.on_device)
        np.testing.assert_allclose(found.scores[0], detector(frame.image).scores[0], atol=0.01)


def test_results_of_a_run_hold_no_memory_of_the_gpu(data: Path, tiny_weights: Path, kept: list[av.VideoFrame]) -> None:
    runtime = FakeRuntime(2, goes_on=True)
    session = on_fake_device(load_session(tiny_weights, device="cpu", backend="torch"), runtime)
    clip = data / "videos" / "car-detection.mp4"
    with (
        Pipeline.from_session(session) as pipeline,
        pipeline.run(clip, max_frames=8, size=64, tracker="botsort") as run,
    ):
        results = list(run)
    assert [result.frame.index for result in results] == list(range(8))
    assert len(kept) == 8
    assert all(result.frame.on_device is None for result in results)
    for result in results:
        assert not any(np.shares_memory(result.frame.image, pinned) for pinned in runtime.pinned_memory)


@pytest.fixture
def read(data: Path) -> Callable[[Any], Iterator[Frame]]:
    def frames(to_device: Any) -> Iterator[Frame]:
        with open_source(data / "videos" / CODED_CLIPS[0], max_frames=6) as source:
            source.keep_on_device(to_device)
            yield from source

    return frames


def test_images_of_other_colours_are_not_taken(
    session: CudaSession, kept: list[av.VideoFrame], read: Callable[[Any], Iterator[Frame]]
) -> None:
    asked = []

    def reddish(planes: Planes) -> Any:
        asked.append(planes)
        made = session.to_image(planes)
        assert made is not None
        image = made[0].copy()
        image[0, 0, 0] ^= 16
        return image, made[1]

    found, expected = list(read(reddish)), list(read(None))
    assert len(asked) == 1
    assert len(found) == 6
    for frame, by_host in zip(found, expected, strict=True):
        assert frame.on_device is None
        np.testing.assert_array_equal(frame.image, by_host.image)


def test_pictures_that_the_host_decodes_stay_with_it(
    session: CudaSession, read: Callable[[Any], Iterator[Frame]]
) -> None:
    assert all(frame.on_device is None for frame in read(session.to_image))


@pytest.mark.gpu
@pytest.mark.parametrize("name", CLIPS)
def test_a_real_gpu_keeps_what_it_decodes(data: Path, tiny_weights: Path, name: str) -> None:
    with open_source(data / "videos" / name, decode="cuda", max_frames=20) as source:
        detector = Detector(tiny_weights, device="cuda:0")
        source.keep_on_device(detector.session.to_device)
        found = list(source)
    with open_source(data / "videos" / name, decode="software", max_frames=20) as source:
        expected = list(source)
    for frame, by_cpu in zip(found, expected, strict=True):
        assert frame.on_device is not None
        assert frame.on_device.is_cuda
        np.testing.assert_array_equal(frame.on_device.cpu(), frame.image)
        assert np.abs(frame.image.astype(int) - by_cpu.image).max() <= 3
