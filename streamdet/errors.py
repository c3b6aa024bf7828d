"""The errors a user can meet. Each message is one sentence: what was expected and what was found."""


class StreamdetError(Exception):
    """Something failed while running; the command line exits with 1."""

    exit_code = 1


class InputError(StreamdetError):
    """What the user gave (file, model, option, URL) cannot be used; the command line exits with 2."""

    exit_code = 2


class MissingExtraError(InputError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; add it with: pip install 'streamdet[{extra}]'")


class SourceError(StreamdetError):
    """A source gives no frames, or no more; opening it again may help.

    Of its subclasses only `SourceRefused` tells that a person has to act first: it is to be tried again rarely.
    """


class SourceEnded(SourceError):
    """A live stream ended in good order."""


class SourceSilent(SourceError):
    """Nothing came from a source for as long as its timeout."""


class SourceBroken(SourceError):
    """Reading from a source failed."""


class SourceUnreachable(SourceError, InputError):
    """A camera or server could not be opened: absent, silent, or its answer was no video; the exit code is 2."""


class SourceRefused(SourceError, InputError):
    """A server answered that it does not give the stream (401, 403, 404 and the like); the exit code is 2."""


class OutputError(StreamdetError):
    """What a run makes could not be written: the disk is full, or the place is gone."""


class DeviceError(StreamdetError):
    """A device failed, or lacks the memory for what it was asked to compute."""


def closest(name: str, known: list[str]) -> str:
    """Return ``"; did you mean X?"`` for the known name nearest to `name`, or a list of the known names."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}"
