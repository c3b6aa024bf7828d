"""The state of a server as metrics of Prometheus (text format 0.0.4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from streamdet.serve.watch import State, Status

PERCENTILES = 50, 95, 99


class Cameras(Collector):
    """Collects the metrics of the cameras that `status` returns."""

    def __init__(self, status: Callable[[], Sequence[Status]]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        """Yield one family of metrics for each number of a `Status`, with the camera's name as its label."""
        found = self._status()
        for name, text, value in (
            ("up", "1 while frames of the camera come.", lambda each: float(each.state is State.LIVE)),
            ("results_per_second", "Results per second.", lambda each: each.rate_hz),
            ("tracks", "Tracks in the newest result.", lambda each: float(each.tracks)),
        ):
            family = GaugeMetricFamily(f"streamdet_camera_{name}", text, labels=["camera"])
            for each in found:
                family.add_metric([each.name], value(each))
            yield family
        for name, text, count in (
            ("results", "Results.", lambda each: each.results),
            ("dropped", "Frames dropped for newer ones.", lambda each: each.dropped),
            ("damaged", "Frames left out, damaged by lost or wrong data.", lambda each: each.damaged),
            ("reconnects", "Connections after the first one.", lambda each: each.reconnects),
            ("abandoned_threads", "Threads left behind in a native call.", lambda each: each.abandoned),
        ):
            counter = CounterMetricFamily(f"streamdet_camera_{name}", text, labels=["camera"])
            for each in found:
                counter.add_metric([each.name], count(each))  # type: ignore[no-untyped-call]
            yield counter
        ages = GaugeMetricFamily(
            "streamdet_camera_age_seconds",
            "Age of the last results, from the arrival of the frame until its result.",
            labels=["camera", "percentile"],
        )
        for each in found:
            for percentile in PERCENTILES:
                age_s = each.age_s(percentile)
                if not math.isnan(age_s):
                    ages.add_metric([each.name, str(percentile)], age_s)
        yield ages
        yield from self._contracts(found)

    def _contracts(self, found: Sequence[Status]) -> Iterable[Metric]:
        """Yield how the latency contract of each camera that has one is kept."""
        kept = [(each.name, each.contract) for each in found if each.contract]
        limits = GaugeMetricFamily("streamdet_camera_age_limit_seconds", "The agreed age.", labels=["camera"])
        steps = GaugeMetricFamily(
            "streamdet_camera_latency_step",
            "The step by which the age is kept, 0 while every frame is detected in; its name is the label.",
            labels=["camera", "step"],
        )
        causes = GaugeMetricFamily(
            "streamdet_camera_latency_step_age_seconds", "The age by which the step was chosen.", labels=["camera"]
        )
        for name, contract in kept:
            limits.add_metric([name], contract.limit_s)
            steps.add_metric([name, contract.name], contract.step)
            if contract.age_s is not None:
                causes.add_metric([name], contract.age_s)
        yield from (limits, steps, causes)


def metrics(status: Callable[[], Sequence[Status]]) -> Callable[[], bytes]:
    """Return a function that returns the metrics of the cameras and of this process."""
    registry = CollectorRegistry()
    registry.register(Cameras(status))
    registry.register(ProcessCollector(registry=None))
    return lambda: generate_latest(registry)
