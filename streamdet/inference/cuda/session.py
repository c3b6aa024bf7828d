"""A network on a CUDA device: while the images of one slot are computed, those of the other are copied."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from streamdet.boxes import ROTATED, UPRIGHT, Selection
from streamdet.errors import DeviceError
from streamdet.inference.cuda.kernels import (
    PACKED,
    Limits,
    letterbox_on_device,
    packed,
    selected,
    suppressed,
    yuv_to_rgb,
)
from streamdet.inference.cuda.runtime import Runtime
from streamdet.inference.graph import OVERLAPS, NetworkOutput, pairwise_iou
from streamdet.inference.session import Found, ModelCard, Output, Precision, Request, Slot
from streamdet.inference.torch import TorchSession
from streamdet.letterbox import Letterbox
from streamdet.types import Float32Array, Frame, Planes, ToDevice, UInt8Array


class CopyStreams(NamedTuple):
    """The streams for copies to and from a device, which all of its slots share."""

    copy_in: Any
    copy_out: Any


class Staged(NamedTuple):
    """The `image` uint8 (H, W, 3) of a frame, in pinned memory, or `on_device` if it was decoded there."""

    image: Tensor
    on_device: bool


class DeviceSlot:
    """Memory and events for up to `batch` images in flight, which `network` computes as inputs of `input_hw` px.

    A slot is submitted to again only after it was collected, so that its memory is never written while it is read.
    Three events order the rest: copied before computed before copied back before collected. Each slot computes on a
    stream of its own, so that the many small kernels at the end of one batch overlap with the network of the next.
    Network and suppression are captured; the letterbox before them is not, since images differ in size.
    """

    def __init__(
        self,
        runtime: Runtime,
        streams: CopyStreams,
        network: Callable[[Tensor], NetworkOutput],
        card: ModelCard,
        input_hw: tuple[int, int],
        batch: int,
    ) -> None:
        self._runtime, self._streams, self._network = runtime, streams, network
        self._compared = ROTATED if card.task == "obb" else UPRIGHT
        self._overlap = OVERLAPS.get(card.task, pairwise_iou)
        outputs: dict[str, tuple[Callable[..., tuple[Tensor, ...]], Callable[[int, Selection], Output]]] = {
            "rows": (self._suppressed, self._selected),
            "prototypes": (self._suppressed_beside, self._found),
            "probabilities": (_alone, self._probabilities),
        }
        self._results_from, self._output = outputs[card.layout]
        self._copied, self._computed, self._returned = runtime.event(), runtime.event(), runtime.event()
        self._stream = runtime.stream()
        self._canvas = runtime.on_device((batch, *input_hw, 3), torch.uint8, self._stream)
        self._images = [runtime.on_device((0,), torch.uint8, streams.copy_in) for _ in range(batch)]
        self._limits = runtime.on_device((batch, PACKED + len(card.class_names)), torch.float32, streams.copy_in)
        self._host_limits = runtime.pinned(tuple(self._limits.shape), torch.float32)
        self._results: list[Tensor] = []
        # The largest first: its results become the memory for those of all sizes.
        sizes = sorted({batch, *(2**power for power in range(batch.bit_length()))}, reverse=True)
        works = runtime.captured(self._stream, [partial(self._compute, size) for size in sizes])
        self._works = dict(zip(sizes, works, strict=True))
        # All rows stay on the device; a classifier has nothing but its probabilities.
        self._outputs = self._results[1:] or self._results
        self._host_outputs = [runtime.pinned(tuple(output.shape), output.dtype) for output in self._outputs]
        self._requests: Sequence[Request] = ()
        self._failure: Exception | None = None

    def submit(self, requests: Sequence[Request], done: Callable[[], None]) -> None:
        """Queue `requests`, at most a batch; returns before any is computed."""
        # Kept until they are collected, since the device still reads their images.
        self._requests, self._failure = requests, None
        try:
            self._queue(requests)
        except torch.OutOfMemoryError:
            height, width = self._canvas.shape[1:3]
            self._failure = _out_of_memory(self._runtime, (height, width), len(self._canvas))
        except RuntimeError as error:
            self._failure = error
        self._runtime.record(self._returned, self._streams.copy_out)
        self._runtime.call_after(self._returned, done)

    def collect(self) -> list[Output]:
        """Wait for the event of this batch; see `Slot`."""
        self._runtime.wait_for(self._returned)
        requests, self._requests = self._requests, ()
        if self._failure is not None:
            raise self._failure
        return [self._output(place, request.select) for place, request in enumerate(requests)]

    def close(self) -> None:
        """Wait until nothing is in flight, so that the memory can be freed."""
        if self._requests:
            self._runtime.wait_for(self._returned)

    def _queue(self, requests: Sequence[Request]) -> None:
        runtime, streams = self._runtime, self._streams
        images, copies = self._plan_copies(requests)
        runtime.run(streams.copy_in, partial(_copy, copies))
        runtime.record(self._copied, streams.copy_in)
        runtime.wait(self._stream, self._copied)
        runtime.run(self._stream, partial(self._fit, images, [request.letterbox for request in requests]))
        runtime.run(self._stream, self._works[min(size for size in self._works if size >= len(requests))])
        runtime.record(self._computed, self._stream)
        runtime.wait(streams.copy_out, self._computed)
        runtime.run(streams.copy_out, partial(_copy, list(zip(self._host_outputs, self._outputs, strict=True))))

    def _plan_copies(self, requests: Sequence[Request]) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
        """Return the place of each image on the device, and the copies to do, each target with its source."""
        images: list[Tensor] = []
        copies = [(self._limits[: len(requests)], self._host_limits[: len(requests)])]
        for place, (staged, _, select) in enumerate(requests):
            numbers = self._host_limits.numpy()[place]
            numbers[:] = packed(select, len(numbers) - PACKED)
            if not staged.on_device:
                copies.append((self._image_memory(place, staged.image), staged.image))
            images.append(staged.image if staged.on_device else copies[-1][0])
        return images, copies

    def _image_memory(self, place: int, image: Tensor) -> Tensor:
        """Return device memory for the image at `place` of the batch; it grows with the largest image so far."""
        if self._images[place].numel() < image.numel():
            self._images[place] = self._runtime.on_device((image.numel(),), torch.uint8, self._streams.copy_in)
        return self._images[place][: image.numel()].view(image.shape)

    @torch.inference_mode()
    def _fit(self, images: Sequence[Tensor], letterboxes: Sequence[Letterbox]) -> None:
        for canvas, image, letterbox in zip(self._canvas, images, letterboxes, strict=False):
            letterbox_on_device(canvas, image, letterbox)

    @torch.inference_mode()
    def _compute(self, size: int) -> None:
        """Compute the results of the first `size` images, see `_suppressed`."""
        results = self._results_from(self._network(self._canvas[:size]), Limits.unpacked(self._limits[:size]))
        if self._results:
            _copy([(place[:size], result) for place, result in zip(self._results, results, strict=True)])
        else:
            self._results = list(results)

    def _suppressed(self, rows: Tensor, limits: Limits) -> tuple[Tensor, ...]:
        """Return rows f32 (B, A, W), candidates f32 (B, K, W + 1) and state f32 (B, 2)."""
        return rows, *suppressed(rows, limits, self._overlap)

    def _suppressed_beside(self, found: tuple[Tensor, Tensor], limits: Limits) -> tuple[Tensor, ...]:
        """Return the same for the rows of `found`, then its prototypes f32 (B, M, h, w)."""
        rows, prototypes = found
        return *self._suppressed(rows, limits), prototypes

    def _selected(self, place: int, select: Selection) -> Float32Array:
        """Return the rows f32 (N, W) that `select` keeps of the image at `place`."""
        candidates, state = (output.numpy()[place] for output in self._host_outputs[:2])
        rows = selected(candidates, state, select, self._compared)
        return select.kept(self._all_rows(place), self._compared) if rows is None else rows

    def _found(self, place: int, select: Selection) -> Found:
        """Return the same rows with the prototypes of the image."""
        prototypes: Float32Array = self._host_outputs[2].numpy()[place].copy()
        return Found(self._selected(place, select), prototypes)

    def _probabilities(self, place: int, _: Selection) -> Float32Array:
        """Return the probabilities f32 (C,) of the classes of the image at `place`."""
        probabilities: Float32Array = self._host_outputs[0].numpy()[place].copy()
        return probabilities

    def _all_rows(self, place: int) -> Float32Array:
        """Return all rows f32 (A, W) of the image at `place`."""
        source = self._results[0][place]
        rows = self._runtime.pinned(tuple(source.shape), source.dtype)
        self._runtime.run(self._streams.copy_out, partial(_copy, [(rows, source)]))
        self._runtime.record(self._returned, self._streams.copy_out)
        self._runtime.wait_for(self._returned)
        array: Float32Array = rows.numpy()
        return array


def _alone(found: Tensor, _: Limits) -> tuple[Tensor]:
    return (found,)


def _out_of_memory(runtime: Runtime, input_hw: tuple[int, int], batch: int) -> DeviceError:
    """Return the error for a device without the memory for a slot."""
    height, width = input_hw
    return DeviceError(
        f"{runtime.device} lacks the memory to detect in batches of {batch} at {height}x{width} px: "
        "expected a smaller batch or image size, or fewer programs that use it"
    )


def _copy(copies: Sequence[tuple[Tensor, Tensor]]) -> None:
    for target, source in copies:
        target.copy_(source, non_blocking=True)


class CudaSession(TorchSession):
    """Computes `network`, whose output is as of `RowsNetwork`, and which is on the device of `runtime`."""

    selects = True

    def __init__(
        self,
        runtime: Runtime,
        network: Callable[[Tensor], NetworkOutput],
        card: ModelCard,
        precision: Precision = "fp32",
    ) -> None:
        super().__init__(network, card, str(runtime.device), precision)
        self.parallel = 1
        self._runtime, self._streams = runtime, CopyStreams(runtime.stream(), runtime.stream())
        self._making = threading.Lock()

    @property
    def to_device(self) -> ToDevice | None:
        """See `Session`."""
        return self.to_image

    def stage(self, frame: Frame, letterbox: Letterbox) -> Staged:
        """Return the image of `frame` on the device if it was decoded there, else a copy in pinned memory."""
        if frame.on_device is not None:
            return Staged(frame.on_device, on_device=True)
        image = self._runtime.pinned(frame.image.shape, torch.uint8)
        image.numpy()[:] = frame.image
        return Staged(image, on_device=False)

    def to_image(self, planes: Planes) -> tuple[UInt8Array, Tensor] | None:
        """Return a picture that this device has decoded as RGB uint8 (H, W, 3), on the host and on the device.

        Return None for a picture on another device.
        """
        luma, chroma = (from_dlpack(plane.__dlpack__()) for plane in (planes.luma, planes.chroma))
        if luma.device != self._runtime.device:
            return None
        runtime, stream, done = self._runtime, self._runtime.decoder_stream(), self._runtime.event()
        on_device = runtime.on_device((*luma.shape, 3), torch.uint8, stream)
        pinned = runtime.pinned((*luma.shape, 3), torch.uint8)

        def convert() -> None:
            on_device.copy_(yuv_to_rgb(luma, chroma, planes.matrix, full_range=planes.full_range))
            pinned.copy_(on_device, non_blocking=True)

        runtime.run(stream, convert)
        runtime.record(done, stream)
        runtime.wait_for(done)
        # Copied, since pinned memory is scarce and a result may be kept for long.
        image: UInt8Array = pinned.numpy().copy()
        return image, on_device

    def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[Slot]:
        """Return two slots, for double buffering; raises DeviceError when there is no memory for them."""
        arguments = self._runtime, self._streams, self._network, self.card, input_hw, batch
        try:
            with self._making:  # captures must not run in two threads at once
                return [DeviceSlot(*arguments) for _ in range(2)]
        except torch.OutOfMemoryError:
            raise _out_of_memory(self._runtime, input_hw, batch) from None

    def close(self) -> None:
        """End the thread that waits for the device."""
        self._runtime.close()
