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


def closest(name: str, known: list[str]) -> str:
    """Return ``"; did you mean X?"`` for the known name nearest to `name`, or a list of the known names."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}"
