"""The demo's page: one tab tracks an uploaded video, the other the browser's webcam."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import PIL.Image

from streamdet.errors import StreamdetError, shown
from streamdet.options import DetectOptions
from streamdet.page_options import PageOptions
from streamdet.types import UInt8Array

from .video import Cancelled, VideoRuns
from .webcam import RATE_HZ, Webcams

# Gradio passes a progress reporter to functions with a parameter of this default value.
_PROGRESS = gr.Progress()
# Only names of local fonts: a theme's default fonts would be downloaded.
_THEME = gr.themes.Base(primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
_CSS = """
#live { min-height: 15em; align-content: center; text-align: center; border: 1px solid var(--border-color-primary);
        border-radius: var(--block-radius); overflow: hidden; }
#live .html-container { padding: 0; }
#live img { width: 100%; }
"""
_LIVE_HTML = '${value ? `<img alt="Tracked webcam" src="${value}">` : "Tracked frames appear here."}'
# The arguments of `gr.mount_gradio_app` about how the page looks.
MOUNTING: dict[str, Any] = {
    "theme": _THEME,
    "css": _CSS,
    "footer_links": [],
    "run_history": False,
    "ssr_mode": False,
    "show_error": False,
}

_log = logging.getLogger(__name__)


class Page(gr.Blocks):  # type: ignore[misc]
    """Blocks that answer a call whose values cannot be used with one sentence, and write one line to the log."""

    async def process_api(self, *arguments: Any, **keywords: Any) -> Any:
        """Answer a call; raises gr.Error."""
        try:
            return await super().process_api(*arguments, **keywords)
        except gr.Error as error:
            if error.print_exception:  # of Gradio itself, with a traceback
                _log.warning("a call of the page failed (%s)", shown(str(error)))
            sentence, duration = error.message, error.duration
        except Exception as error:  # of any kind: Gradio would print a traceback
            if isinstance(error.__cause__, PIL.Image.DecompressionBombError):
                sentence = "expected frames of fewer pixels: see the option --max-pixels of the page's server"
            else:
                sentence = "expected values that this page sends, found others"
            _log.warning("a call of the page failed (%s: %s)", type(error).__name__, shown(str(error)))
            duration = None
        raise gr.Error(sentence, duration=duration, print_exception=False)


def build_page(runs: VideoRuns, webcams: Webcams, class_names: list[str], options: PageOptions) -> gr.Blocks:
    """Return the page, connected to `runs` and `webcams`."""
    with Page(title="streamdet", analytics_enabled=False) as page:
        gr.Markdown("# streamdet\nDetect and track in a video of your own or in your webcam.")
        with gr.Tab("Video"):
            _video_tab(runs, class_names, options)
        with gr.Tab("Webcam") as tab:
            _webcam_tab(webcams, tab, options)
    # Closed, since calls past the queue would know no limit.
    page.queue(max_size=options.queue, api_open=False)
    return page


def _video_tab(runs: VideoRuns, class_names: list[str], options: PageOptions) -> None:
    with gr.Row():
        with gr.Column():
            # Not gr.Video: browsers play few of the formats that can be tracked.
            upload = gr.File(label="Video (without one, a rendered street)", height=160, elem_id="upload")
            gr.Markdown(f"At most {options.max_upload_mb} MB; tracking ends after {options.max_seconds:g} s.")
            classes = gr.Dropdown(class_names, multiselect=True, label="Classes", info="None chosen means all.")
            conf = gr.Slider(0.05, 0.95, DetectOptions.conf, step=0.05, label="Lowest score")
            with gr.Row():
                start = gr.Button("Track", variant="primary", elem_id="track")
                cancel = gr.Button("Cancel", elem_id="cancel")
        with gr.Column():
            video = gr.Video(label="Tracked video", interactive=False, autoplay=True, elem_id="tracked")
            summary = gr.Markdown(elem_id="summary")
            with gr.Row():
                mot = gr.DownloadButton("Tracks as MOT .txt", interactive=False, elem_id="mot")
                jsonl = gr.DownloadButton("Tracks as .jsonl", interactive=False, elem_id="jsonl")

    def track(
        path: str | None, classes: list[str], conf: float, request: gr.Request, progress: gr.Progress = _PROGRESS
    ) -> Any:
        with _errors_on_page(runs.without_folders):
            tracked = runs.track(
                _session(request),
                Path(path) if path else None,
                classes,
                conf,
                lambda done, total: progress((done, total), desc="Tracking", unit="frames"),
            )
        return [
            str(tracked.video),
            tracked.summary,
            gr.DownloadButton(value=str(tracked.mot), interactive=True),
            gr.DownloadButton(value=str(tracked.jsonl), interactive=True),
        ]

    def cancel_run(request: gr.Request) -> None:
        runs.cancel(_session(request))

    # One video at a time: the runs of other pages wait in Gradio's queue.
    run = start.click(
        track, [upload, classes, conf], [video, summary, mot, jsonl], concurrency_limit=1, show_progress_on=video
    )
    cancel.click(cancel_run, cancels=run, queue=False)


def _webcam_tab(webcams: Webcams, tab: gr.Tab, options: PageOptions) -> None:
    with gr.Row():
        with gr.Column():
            camera = gr.Image(
                label="Webcam",
                sources=["webcam"],
                streaming=True,
                webcam_options=gr.WebcamOptions(mirror=False),
                elem_id="camera",
            )
        with gr.Column():
            live = gr.HTML(html_template=_LIVE_HTML, elem_id="live")
            line = gr.Markdown(elem_id="live-line")

    def receive(image: UInt8Array | None, request: gr.Request) -> None:
        if image is not None and not webcams.receive(_session(request), image):
            # Also ends the event, which would keep one of the queue's places.
            raise gr.Error("This webcam has no place: choose the tab Webcam again.", print_exception=False)

    async def watch(request: gr.Request) -> AsyncIterator[tuple[str, str]]:
        with _errors_on_page():
            async for shown in webcams.watch(_session(request)):
                yield shown

    # One event sends frames and another returns the tracked ones, so that the camera does not wait for the detector.
    camera.stream(
        receive,
        camera,
        stream_every=1 / RATE_HZ,
        concurrency_limit=options.max_webcams,
        show_progress="hidden",
        time_limit=round(options.max_seconds),
    )
    # Not limited by the queue, where a visitor would wait without a word: `webcams` refuses.
    tab.select(watch, None, [live, line], concurrency_limit=None, show_progress="hidden")


def _session(request: gr.Request) -> str:
    return str(request.session_hash)


@contextmanager
def _errors_on_page(as_shown: Callable[[str], str] = str) -> Iterator[None]:
    """Show errors of the block on the page, with their messages as `as_shown` returns them."""
    try:
        yield
    except Cancelled:
        raise gr.Error("The run was cancelled.", print_exception=False) from None
    except StreamdetError as error:
        raise gr.Error(as_shown(str(error)), duration=None, print_exception=False) from error
