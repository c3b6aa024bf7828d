"""A network on a device: where its images are put, and the slots that compute them."""

from __future__ import annotations

from streamdet.detect.gpu.candidates import Limits
from streamdet.detect.gpu.pinned import pinned_copy
from streamdet.detect.gpu.program import Program
from streamdet.detect.gpu.runtime import Runtime
from streamdet.detect.gpu.slot import DeviceSlot, Lanes
from streamdet.detect.slots import Job
from streamdet.graph.rows import RowsNetwork
from streamdet.types import UInt8Array


class Device:
    """Computes `network`, which is on the device of `runtime`."""

    def __init__(self, runtime: Runtime, network: RowsNetwork) -> None:
        self._runtime, self._network = runtime, network
        self._lanes = Lanes.of(runtime)

    def pinned(self, image: UInt8Array) -> UInt8Array:
        """Return a copy of `image` uint8 (H, W, 3) that a slot needs no copy of."""
        return pinned_copy(image, self._runtime)

    def new_slots(self, job: Job) -> list[DeviceSlot]:
        """Return the two slots that double buffering takes."""
        program = Program(self._network, job.letterbox, Limits.of(job.select, self._runtime.device))
        return [DeviceSlot(self._runtime, self._lanes, program, job) for _ in range(2)]
