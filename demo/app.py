"""The demo's page: one tab tracks an uploaded video, the other the browser's webcam."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from streamdet.errors import StreamdetError
from streamdet.options import DetectOptions
from streamdet.pipeline.pipeline import Pipeline
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
# Every 600 s, the page's files that are older than 6 h are deleted.
_DELETE_CACHE_S = (600, 6 * 3600)


@contextmanager
def serving(model: Path, host: str, port: int, cache: Path) -> Iterator[str]:
    """Serve the page at `host` and `port` during the block, and yield its URL.

    Uploads and results are stored in the folder `cache`, which must be Gradio's own (``GRADIO_TEMP_DIR``). Raises
    InputError when the model cannot be used.
    """
    pipeline = Pipeline(model=model)
    runs, webcams = VideoRuns(pipeline, cache), Webcams(pipeline)
    page = build_page(runs, webcams, list(pipeline.class_names))
    _, url, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,
        prevent_thread_lock=True,
        quiet=True,
        ssr_mode=False,
        theme=_THEME,
        css=_CSS,
        footer_links=[],
    )
    try:
        yield url
    finally:
        runs.close()
        webcams.close()
        pipeline.close()
        # The server would wait for the connections of open pages; closing them by force is not worth an error message.
        page.server.force_exit = True
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        page.close(verbose=False)


def build_page(runs: VideoRuns, webcams: Webcams, class_names: list[str]) -> gr.Blocks:
    """Return the page, connected to `runs` and `webcams`."""
    with gr.Blocks(title="streamdet", delete_cache=_DELETE_CACHE_S, analytics_enabled=False) as page:
        gr.Markdown("# streamdet\nDetect and track in a video of your own or in your webcam.")
        with gr.Tab("Video"):
            _video_tab(runs, class_names)
        with gr.Tab("Webcam") as tab:
            _webcam_tab(webcams, tab)

        def leave(request: gr.Request) -> None:
            runs.cancel(_session(request))
            webcams.close(_session(request))

        page.unload(leave)
    return page


def _video_tab(runs: VideoRuns, class_names: list[str]) -> None:
    with gr.Row():
        with gr.Column():
            # Not gr.Video: browsers play few of the formats that can be tracked.
            upload = gr.File(label="Video (without one, a rendered street)", height=160, elem_id="upload")
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
        video_path = Path(path) if path else None
        with _errors_on_page(video_path):
            tracked = runs.track(
                _session(request),
                video_path,
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


def _webcam_tab(webcams: Webcams, tab: gr.Tab) -> None:
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
        if image is not None:
            webcams.receive(_session(request), image)

    def watch(request: gr.Request) -> Iterator[tuple[str, str]]:
        with _errors_on_page():
            yield from webcams.watch(_session(request))

    # One event sends frames and another returns the tracked ones, so that the camera does not wait for the detector.
    camera.stream(
        receive, camera, stream_every=1 / RATE_HZ, concurrency_limit=None, show_progress="hidden", time_limit=None
    )
    tab.select(watch, None, [live, line], concurrency_limit=None, show_progress="hidden")


def _session(request: gr.Request) -> str:
    return str(request.session_hash)


@contextmanager
def _errors_on_page(path: Path | None = None) -> Iterator[None]:
    """Show errors of the block on the page; the upload at `path` is named without its folder."""
    try:
        yield
    except Cancelled:
        raise gr.Error("The run was cancelled.", print_exception=False) from None
    except StreamdetError as error:
        message = str(error).replace(str(path), path.name) if path else str(error)
        raise gr.Error(message, duration=None, print_exception=False) from error
