"""What is shipped for operators fits what the server offers."""

import json
import re
from pathlib import Path

from streamdet.scheduler.latency import ContractState
from streamdet.serve.metrics import Cameras
from streamdet.serve.options import DEFAULT_PORT
from streamdet.serve.watch import State, Status

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
STATUS = Status(
    "a", "rtsp://a", State.LIVE, "", 0.0, 25.0, 3, (64, 48), 10, 1, 0, 2, 0, (0.1, 0.2), ContractState(1, 0.3, 0.2)
)


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    known = {sample.name for family in Cameras(lambda: [STATUS]).collect() for sample in family.samples}
    asked = {
        name
        for panel in json.loads((DEPLOY / "grafana.json").read_text())["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\bstreamdet_\w+", target["expr"])
    }
    assert len(asked) >= 5
    assert asked <= known


def test_the_container_asks_the_port_of_the_server() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert set(re.findall(r"\b80\d\d\b", text)) == {str(DEFAULT_PORT)}
    assert "/healthz" in text


def test_the_unit_reloads_and_stops_as_the_server_does() -> None:
    lines = dict(line.split("=", 1) for line in (DEPLOY / "streamdet.service").read_text().splitlines() if "=" in line)
    assert lines["ExecReload"].startswith("/bin/kill -HUP")
    assert "streamdet serve" in lines["ExecStart"]
    assert int(lines["TimeoutStopSec"]) > 10
