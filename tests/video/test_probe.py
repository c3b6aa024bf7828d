"""The formats that a GPU decodes are determined by decoding a sample of each."""

from typing import Any

import av
import pytest

from streamdet.video import decoder
from streamdet.video.decoder import cuda_refusals

from .fake_gpu import FakeGpu


def test_a_gpu_that_decodes_all_formats(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(decoder, "_create_context", FakeGpu())
    assert cuda_refusals() == {"h264": None, "hevc": None, "vp9": None, "av1": None}
    assert capfd.readouterr() == ("", "")


def test_an_older_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    class OlderGpu(FakeGpu):
        def __call__(self, video_format: str) -> Any:
            if video_format == "av1":
                raise av.PermissionError(1, "Operation not permitted")
            return super().__call__(video_format)

    monkeypatch.setattr(decoder, "_create_context", OlderGpu())
    refusals = cuda_refusals()
    assert refusals.pop("av1") == "none that decodes av1 can be opened (operation not permitted)"
    assert set(refusals.values()) == {None}


def test_a_gpu_that_decodes_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    def black(index: int, frame: av.VideoFrame) -> av.VideoFrame:
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        return frame

    monkeypatch.setattr(decoder, "_create_context", FakeGpu(spoil=black))
    assert set(cuda_refusals().values()) == {"its first picture differs from the CPU's"}


def test_a_gpu_that_fails_after_its_first_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(index: int, frame: av.VideoFrame) -> av.VideoFrame:
        if index % 3:
            raise av.ExternalError(0, "the GPU is gone")
        return frame

    monkeypatch.setattr(decoder, "_create_context", FakeGpu(spoil=dies))
    assert set(cuda_refusals().values()) == {"it failed (the gpu is gone)"}


def test_without_a_gpu_each_format_says_why() -> None:
    refusals = cuda_refusals()
    if None in refusals.values():
        pytest.skip("this machine's GPU decodes")
    assert all(refusal and refusal.startswith(f"none that decodes {name} ") for name, refusal in refusals.items())


@pytest.mark.gpu
def test_a_real_gpu_decodes_h264_as_the_cpu_does() -> None:
    assert cuda_refusals()["h264"] is None
