"""A GPU decodes only if its pictures are those of the CPU, and when it fails no frame is lost."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.options import Decode
from streamdet.types import Frame
from streamdet.video import decoder, reader
from streamdet.video.source import Source, open_source

from .clips import CODED_CLIPS
from .fake_gpu import FakeGpu, Spoil
from .test_display import TURNS, set_display, write_quadrants
from .web import serving_files, write_playlist

MakeClip = Callable[..., Path]
UseGpu = Callable[..., FakeGpu]


@pytest.fixture
def use_gpu(monkeypatch: pytest.MonkeyPatch) -> UseGpu:
    """Return a function that puts a GPU in place, with the faults it is given, and returns it."""

    def use(**faults: object) -> FakeGpu:
        gpu = FakeGpu(**faults)  # type: ignore[arg-type]
        monkeypatch.setattr(decoder, "_create_context", gpu)
        return gpu

    return use


def read(path: Path | str, decode: Decode, max_frames: int | None = None) -> tuple[Source, list[Frame]]:
    with open_source(path, decode=decode, max_frames=max_frames, timeout_s=1.0) as source:
        return source, list(source)


def assert_same(found: list[Frame], expected: list[Frame]) -> None:
    assert [(frame.index, frame.time) for frame in found] == [(frame.index, frame.time) for frame in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


@pytest.mark.parametrize("name", CODED_CLIPS)
def test_real_clips_come_out_as_from_the_cpu(data: Path, use_gpu: UseGpu, name: str) -> None:
    gpu = use_gpu()
    source, found = read(data / "videos" / name, "cuda", max_frames=30)
    by_cpu, expected = read(data / "videos" / name, "software", max_frames=30)
    assert gpu.given >= len(found)
    assert_same(found, expected)
    assert (source.info, source.warnings) == (by_cpu.info, [])


def test_every_frame_of_a_whole_clip_comes_from_the_gpu(make_clip: MakeClip, use_gpu: UseGpu) -> None:
    path = make_clip(ticks=range(200))
    gpu = use_gpu()
    source, found = read(path, "auto")
    assert gpu.given == 200
    assert source.warnings == []
    assert_same(found, read(path, "software")[1])


def test_where_pictures_cannot_stay_on_the_gpu_they_are_brought_down(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu, asked = FakeGpu(), []

    def create(video_format: str, *, keeps: bool) -> object:
        asked.append(keeps)
        if keeps:
            raise av.ExternalError(0, "incompatible flags")
        return gpu(video_format)

    monkeypatch.setattr(decoder, "_hwaccel_context", create)
    assert len(read(make_clip(), "cuda")[1]) == gpu.given == 30
    assert asked == [True, False]


def test_software_leaves_the_gpu_alone(make_clip: MakeClip, use_gpu: UseGpu) -> None:
    gpu = use_gpu()
    assert len(read(make_clip(), "software")[1]) == 30
    assert gpu.given == 0


@pytest.mark.parametrize("clockwise", [90, 180])
def test_pictures_come_upright_though_the_gpu_does_not_know_how(
    tmp_path: Path, use_gpu: UseGpu, clockwise: int
) -> None:
    path = tmp_path / "turned.mp4"
    write_quadrants(path, "yuv420p")
    set_display(path, TURNS[clockwise])
    gpu = use_gpu()
    source, found = read(path, "cuda")
    by_cpu, expected = read(path, "software")
    assert gpu.given == len(found) == 5
    assert_same(found, expected)
    assert source.info == by_cpu.info


def test_frames_that_an_edit_list_hides_stay_hidden(make_clip: MakeClip, use_gpu: UseGpu) -> None:
    path = make_clip(ticks=range(-3, 27))
    use_gpu()
    source, found = read(path, "cuda")
    assert source.warnings == []
    assert_same(found, read(path, "software")[1])


def cropped(index: int, frame: av.VideoFrame) -> av.VideoFrame:
    return av.VideoFrame(frame.width + 8, frame.height, "nv12")


def darker(index: int, frame: av.VideoFrame) -> av.VideoFrame:
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    return frame


def later(index: int, frame: av.VideoFrame) -> av.VideoFrame:
    frame.pts += 1
    return frame


def full_range(index: int, frame: av.VideoFrame) -> av.VideoFrame:
    frame.color_range = 2
    return frame


def other_layout(index: int, frame: av.VideoFrame) -> av.VideoFrame:
    return av.VideoFrame(frame.width, frame.height, "yuv444p")


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"opens": False}, "none that decodes h264 can be opened (operation not permitted)"),
        ({"fails_at": 0}, "it failed (the gpu is gone)"),
        ({"fails_at": 1, "late": 1}, "it failed (the gpu is gone)"),
        ({"spoil": cropped}, "it gave 104x64 for 96x64 px"),
        ({"spoil": darker}, "its first picture differs from the CPU's"),
        ({"spoil": later}, "its first picture has pts 1025, not 1024"),
        ({"spoil": full_range}, "its first picture has color_range 2, not 0"),
        ({"spoil": other_layout}, "it gave pictures in the layout yuv444p"),
    ],
)
def test_a_gpu_that_does_not_prove_itself_is_not_used(
    make_clip: MakeClip, use_gpu: UseGpu, faults: dict[str, object], said: str
) -> None:
    path = make_clip(ticks=[5 * k + 1 for k in range(30)])
    use_gpu(**faults)
    source, found = read(path, "auto")
    assert source.warnings == []
    assert_same(found, read(path, "software")[1])
    with pytest.raises(InputError) as caught:
        open_source(path, decode="cuda")
    assert str(caught.value) == f"expected a GPU to decode {path}, but {said}"


def test_a_gpu_that_swallows_everything_is_not_used(
    make_clip: MakeClip, use_gpu: UseGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(FakeGpu):
        def __call__(self, video_format: str) -> object:  # type: ignore[override]
            context = super().__call__(video_format)
            context.__dict__["decode"] = lambda packet: []
            return context

    path = make_clip(ticks=range(100))
    monkeypatch.setattr(decoder, "_create_context", Silent())
    source, found = read(path, "auto")
    assert source.warnings == []
    assert_same(found, read(path, "software")[1])


def changed_at(place: int, change: Spoil) -> Spoil:
    return lambda index, frame: change(index, frame) if index == place else frame


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"fails_at": 57}, "it failed (the gpu is gone)"),
        ({"fails_at": 57, "error": av.InvalidDataError(0, "Invalid data")}, "it failed (invalid data)"),
        ({"spoil": changed_at(57, cropped)}, "it gave 104x64 for 96x64 px"),
        ({"spoil": changed_at(57, other_layout)}, "it gave pictures in the layout yuv444p"),
    ],
)
def test_when_the_gpu_fails_in_a_file_the_cpu_gives_the_rest(
    make_clip: MakeClip, use_gpu: UseGpu, faults: dict[str, object], said: str
) -> None:
    path = make_clip(ticks=[k * k + 100 * k for k in range(100)])
    gpu = use_gpu(**faults)
    source, found = read(path, "cuda")
    assert 50 < gpu.given < 60
    assert source.warnings == [f"the CPU had to take over the decoding of {path} from the GPU: {said}"]
    assert_same(found, read(path, "software")[1])


def test_a_damaged_file_is_mended_by_the_cpu(
    data: Path, tmp_path: Path, use_gpu: UseGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What several threads put into a hole depends on which of them is ahead.
    monkeypatch.setattr(reader, "_thread_count", lambda: 1)
    content = bytearray((data / "videos" / "car-detection.mp4").read_bytes())
    for place in np.random.default_rng(1).integers(len(content) // 5, len(content) // 3, 10):
        content[place] ^= 0xFF
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    use_gpu()
    source, found = read(path, "cuda", max_frames=150)
    by_cpu, expected = read(path, "software", max_frames=150)
    assert_same(found, expected)
    assert source.damaged == by_cpu.damaged > 0
    assert set(source.warnings) > set(by_cpu.warnings)


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[str]:
    """The URL of a live stream of 40 frames with a key frame every 10, as far as it goes."""
    write_playlist(tmp_path, ended=False)
    with serving_files(tmp_path) as url:
        yield f"{url}/list.m3u8"


def test_a_live_stream_comes_from_the_gpu(camera: str, use_gpu: UseGpu) -> None:
    gpu = use_gpu()
    source, found = read(camera, "cuda", max_frames=20)
    assert source.info.live
    assert gpu.given >= 20
    assert_same(found, read(camera, "software", max_frames=20)[1])


def test_a_live_stream_goes_on_at_the_next_key_frame(camera: str, use_gpu: UseGpu) -> None:
    expected = read(camera, "software", max_frames=25)[1]
    use_gpu(fails_at=15)
    source, found = read(camera, "auto", max_frames=20)
    kept = [*range(15), *range(20, 25)]
    assert [frame.time for frame in found] == [expected[k].time for k in kept]
    for frame, k in zip(found, kept, strict=True):
        np.testing.assert_array_equal(frame.image, expected[k].image)
    assert source.warnings[0].endswith("from the GPU: it failed (the gpu is gone)")


def test_a_live_stream_loses_nothing_when_the_gpu_does_not_prove_itself(camera: str, use_gpu: UseGpu) -> None:
    use_gpu(fails_at=0)
    assert_same(read(camera, "auto", max_frames=20)[1], read(camera, "software", max_frames=20)[1])


def test_what_a_gpu_cannot_decode_is_refused_when_it_is_demanded(data: Path, tmp_path: Path, use_gpu: UseGpu) -> None:
    use_gpu()
    path = data / "videos" / "vtest.avi"
    with pytest.raises(InputError, match=r"^expected a GPU to decode .*vtest.avi, but AVI tells times only by "):
        open_source(path, decode="cuda")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"^expected a video for a GPU to decode, found images at "):
        open_source(tmp_path, decode="cuda")


def test_formats_whose_decoders_differ_are_left_to_the_cpu(tmp_path: Path, use_gpu: UseGpu) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.codec_context.width, stream.codec_context.height, stream.codec_context.pix_fmt = 96, 64, "yuv420p"
        for pts in range(5):
            frame = av.VideoFrame(96, 64)
            frame.pts, frame.time_base = pts, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    gpu = use_gpu()
    assert len(read(path, "auto")[1]) == 5
    assert gpu.given == 0
    with pytest.raises(InputError, match=r"but decoders of mpeg4 differ in their results$"):
        open_source(path, decode="cuda")


def test_an_unknown_choice_is_refused(make_clip: MakeClip) -> None:
    with pytest.raises(InputError) as caught:
        open_source(make_clip(), decode="vaapi")  # type: ignore[arg-type]
    assert str(caught.value) == "decode must be auto, software or cuda, got 'vaapi'"


@pytest.mark.gpu
@pytest.mark.parametrize("name", CODED_CLIPS)
def test_a_real_gpu_gives_what_the_cpu_gives(data: Path, name: str) -> None:
    source, found = read(data / "videos" / name, "cuda", max_frames=60)
    assert source.warnings == []
    assert_same(found, read(data / "videos" / name, "software", max_frames=60)[1])
