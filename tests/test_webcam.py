"""The webcams of the demo's open pages."""

from demo.webcam import Webcams


def test_a_page_that_came_back_may_leave_before_its_first_connection_is_given_up() -> None:
    webcams = Webcams(None)  # type: ignore[arg-type]
    first, second = webcams._opened("page"), webcams._opened("page")
    first.__enter__()
    second.__enter__()
    second.__exit__(None, None, None)
    first.__exit__(None, None, None)
