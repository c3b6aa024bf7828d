"""What a test that asserts numbers computes with, so that they do not depend on the CPU's instructions."""

from typing import Any

# A backend that is named computes in fp32; by itself OpenVINO takes bf16 where the CPU has it.
EXACT: dict[str, Any] = {"device": "cpu", "backend": "openvino"}
