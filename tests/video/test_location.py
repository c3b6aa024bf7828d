"""The location that a SOURCE names, and the error when it names none."""

from pathlib import Path

import pytest

from streamdet.errors import InputError
from streamdet.video.location import ImageFiles, Stream, VideoFile, Webcam, locate, videos_in


@pytest.mark.parametrize("spec", [0, "0"])
def test_a_number_is_a_webcam(spec: str | int) -> None:
    assert locate(spec) == Webcam("webcam 0", 0)


def test_a_file_with_a_number_for_a_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "7").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    assert locate("7") == VideoFile("7", Path("7"))


@pytest.mark.parametrize("password", ["pass", "p%40ss", "p@ss"])
def test_a_password_is_used_but_never_shown(password: str) -> None:
    url = f"rtsp://user:{password}@camera:554/one@two"
    assert locate(url) == Stream("rtsp://camera:554/one@two", url, "rtsp")


def test_images_of_a_folder_come_in_natural_order(tmp_path: Path) -> None:
    for name in ("frame10.png", "frame2.PNG", "frame1.jpg", "notes.txt"):
        (tmp_path / name).touch()
    found = locate(tmp_path)
    assert isinstance(found, ImageFiles)
    assert [path.name for path in found.paths] == ["frame1.jpg", "frame2.PNG", "frame10.png"]


@pytest.mark.parametrize("pattern", ["a*.png", "**/a*.png"])
def test_a_pattern_chooses_images(tmp_path: Path, pattern: str) -> None:
    for name in ("a2.png", "a10.png", "b1.png"):
        (tmp_path / name).touch()
    found = locate(tmp_path / pattern)
    assert isinstance(found, ImageFiles)
    assert [path.name for path in found.paths] == ["a2.png", "a10.png"]


def test_a_pattern_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a1.png").touch()
    monkeypatch.chdir(tmp_path)
    assert locate("a?.png") == ImageFiles("a?.png", (Path("a1.png"),))


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "take[1].mp4"
    path.write_bytes(b"x")
    assert locate(path) == VideoFile(str(path), path)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "missing.mp4",
            "expected a video file, an image folder, a webcam number or a URL, found nothing at 'missing.mp4'",
        ),
        (
            "gopher://camera",
            "expected a URL of http, https, rtmp, rtmps, rtp, rtsp, rtsps, scene, srt, udp, found the protocol",
        ),
        ("*.png", "expected a pattern that matches images"),
        (".", "expected a folder with images"),
    ],
)
def test_nothing_found_is_one_sentence(
    spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        locate(spec)
    assert str(caught.value).startswith(message)


def test_what_macos_keeps_beside_an_image_is_none(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png", "._b.mp4"):
        (tmp_path / name).touch()
    assert locate(tmp_path) == ImageFiles(str(tmp_path), (tmp_path / "a.png",))


def test_videos_beside_images_are_counted(tmp_path: Path) -> None:
    for name in ("a.png", "b.mp4", "c.mkv", "notes.txt"):
        (tmp_path / name).touch()
    assert locate(tmp_path) == ImageFiles(str(tmp_path), (tmp_path / "a.png",), videos=2)


@pytest.mark.parametrize("spec", ["take[1]", "take[1]/*.png", "take[1]/a[1].png", "take[[]1]/*.png"])
def test_brackets_in_a_name_that_exists_are_no_pattern(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "take[1]").mkdir()
    image = Path("take[1]", "a[1].png")
    image.touch()
    assert locate(spec) == ImageFiles(spec, (image,))


def test_gifs_are_videos(tmp_path: Path) -> None:
    names = [tmp_path / "a.gif", tmp_path / "b.GIF"]
    for name in names:
        name.touch()
    assert videos_in(tmp_path) == list(map(str, names))
    (tmp_path / "c.png").touch()
    assert locate(tmp_path) == ImageFiles(str(tmp_path), (tmp_path / "c.png",), videos=2)


def test_a_scheme_in_capitals_is_that_scheme() -> None:
    assert locate("HTTP://Host/A.mp4") == Stream("http://Host/A.mp4", "http://Host/A.mp4", "http")
    assert locate("RTSP://u:p@Host/A") == Stream("rtsp://Host/A", "rtsp://u:p@Host/A", "rtsp")


@pytest.mark.parametrize("spec", ["x" * 300, "x" * 300 + ".mp4", "y" * 5000])
def test_a_name_that_no_file_can_have_is_one_short_sentence(spec: str) -> None:
    assert videos_in(spec) == []
    with pytest.raises(InputError) as caught:
        locate(spec)
    assert len(str(caught.value)) < 200
    assert str(caught.value).startswith("expected ")
