"""The log of the page: every record is one line of printable characters."""

from __future__ import annotations

import logging

from streamdet.errors import printable

_LONGEST = 300  # characters of a line


class OneLine(logging.Formatter):
    """Formats a record as its level and message, and an error as its type and text, without the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[0]:
            text += f": {record.exc_info[0].__name__}: {record.exc_info[1]}"
        return printable(f"{record.levelname.lower()}: {' '.join(text.split())}")[:_LONGEST]


def log_in_lines() -> None:
    """Write what this process logs from warnings on to stderr, a line each; Python's warnings too."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
