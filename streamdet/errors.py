"""The errors that users see. Each message is one sentence: what was expected and what was found."""


class StreamdetError(Exception):
    """Base class: something failed while running; the command line exits with 1."""

    exit_code = 1


class InputError(StreamdetError):
    """An input of the user (file, model, option, URL) cannot be used; the command line exits with 2."""

    exit_code = 2


class MissingExtraError(InputError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; add it with: pip install 'streamdet[{extra}]'")


class SourceError(StreamdetError):
    """A source yields no frames, or no more; opening it again may help.

    After `SourceRefused`, retry rarely: it needs a change first, such as another URL or password.
    """


class SourceEnded(SourceError):
    """A live stream was ended by its server."""


class SourceSilent(SourceError):
    """A source sent nothing for the duration of its timeout."""


class SourceBroken(SourceError):
    """Reading from a source failed, for another reason than its timeout."""


class SourceUnreachable(SourceError, InputError):
    """A camera or server could not be opened: it is absent, or sent nothing, or no video; the exit code is 2."""


class SourceRefused(SourceError, InputError):
    """A server refused the stream (HTTP status 401, 403, 404 and the like); the exit code is 2."""


class OutputError(StreamdetError):
    """An output could not be written: the disk is full, or the folder no longer exists."""


class DeviceError(StreamdetError):
    """A device failed, or has too little memory for a computation."""


def closest(name: str, known: list[str]) -> str:
    """Return ``"; did you mean X?"`` for the name of `known` that is most similar to `name`, or a list of all."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}"
