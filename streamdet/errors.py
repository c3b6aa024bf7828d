"""The errors that users see. Each message is one sentence: what was expected and what was found.

Values from files and users are shown by `shown`, which is cut, and a whole message is escaped by `StreamdetError`. Both
leave out the passwords of addresses.
"""

import re
import reprlib
from collections.abc import Sequence

MAX_SHOWN = 80  # characters of a value in a message
_MAX_LISTED = 400  # characters of a list of known names
_MAX_COMPARED = 1000  # names that a misspelled one is compared to: the comparison is slow
# What follows the scheme of an address in a text; someone may have typed one slash only.
_ADDRESS = re.compile(r"(?<=[A-Za-z0-9])(:/{1,2})(\S+)")
# What surely ends a password before it: a host with a dot, or in brackets, or with a port.
_SURE_HOST = re.compile(r"[\w-]+(\.[\w-]+)+(:\d+)?|\[[\da-fA-F:.]+\](:\d+)?|[\w-]+:\d+")
# A name in a query or a path, and what it must hold to name a value that grants access.
_NAME = re.compile(r"(?<![\w.%-])[\w.%-]+=(?!…)")
_GRANTS = re.compile("pass|pwd|psw|secret|token|auth|key|sig|cred|jwt", re.IGNORECASE)


class StreamdetError(Exception):
    """Base class: something failed while running; the command line exits with 1.

    The message is one line without control characters and passwords, whatever file name or address it contains.
    """

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message)))


class InputError(StreamdetError):
    """An input of the user (file, model, option, URL) cannot be used; the command line exits with 2."""

    exit_code = 2


class MissingExtraError(InputError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; add it with: pip install 'streamdet[{extra}]'")


class SourceError(StreamdetError):
    """A source yields no frames, or no more; opening it again may help.

    After all kinds but `SourceRefused` it may do so at any moment: retry, at growing intervals. After `SourceRefused`
    retry rarely: it needs a change first, such as another URL or password. An InputError that is no SourceError, such
    as a picture above `max_pixels`, stays.
    """


class SourceEnded(SourceError):
    """A live stream was ended by its server; over RTSP also a connection that breaks off."""


class SourceSilent(SourceError):
    """A live source sent nothing for its timeout, or nothing that could be decoded for four times as long."""


class SourceBroken(SourceError):
    """Reading from a source failed, for another reason than its timeout."""


class SourceUnreachable(SourceError, InputError):
    """A camera or server could not be opened: it is absent, or sent nothing, or no video; the exit code is 2."""


class SourceRefused(SourceError, InputError):
    """A server refused the stream (status 401, 403, 404 and the like, all transports); the exit code is 2."""


class OutputError(StreamdetError):
    """An output could not be written: the disk is full, or the folder no longer exists."""


class DeviceError(StreamdetError):
    """A device failed, or has too little memory for a computation."""


def printable(text: str) -> str:
    """Return `text` without passwords, and with control characters, line ends included, as escapes such as ``\\x1b``.

    A terminal would obey them, and a line end would begin another message.
    """
    text = without_passwords(text)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text) if not text.isprintable() else text


def without_passwords(text: str) -> str:
    """Return `text` with the addresses in it as they may be printed: without user name, password, and secret values.

    A password may hold a slash or "@" that should have been encoded. Where it is not certain how far it goes, all that
    it may be is left out, which is then shown as "…".
    """
    return _ADDRESS.sub(lambda found: found[1] + _without_secrets(_without_user(found[2])), text)


def _without_secrets(address: str) -> str:
    """Return `address` with "…" for each value whose name says that it grants access; it ends at "&" or "#"."""
    parts = re.split("([&#])", address)
    for index, part in enumerate(parts):
        secret = next((name for name in _NAME.finditer(part) if _GRANTS.search(name[0])), None)
        parts[index] = part[: secret.end()] + "…" if secret else part
    return "".join(parts)


def _without_user(address: str) -> str:
    """Return `address`, which follows the scheme, from its host on."""
    before, at, after = address.rpartition("@")
    first = re.split(r"[/?#]", address, maxsplit=1)[0]
    if not at or before == "…":
        return address
    if len(before) < len(first):
        return after  # the only "@", or the last of several before the path
    user, _, host = first.rpartition("@")
    if _SURE_HOST.fullmatch(host) if user else ":" not in host or "." in host:
        return address.removeprefix(f"{user}@")  # the "@" behind it is part of the path
    return f"…@{after}"


def shown(value: object) -> str:
    """Return `value` for a message: as `repr` writes it, escaped and cut to `MAX_SHOWN` characters.

    It is cut before it is formatted, since a small file can state a value whose text would fill the memory.
    """
    text = _SHORT.repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


class _ShortRepr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxstring = self.maxlong = self.maxother = MAX_SHOWN
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 10

    def repr_str(self, x: str, level: int) -> str:
        # Before it is cut, which may remove the end of a password.
        return super().repr_str(without_passwords(x), level)

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write more than 4,300 digits.
        return super().repr_int(x, level) if x.bit_length() < 10_000 else f"a number of {x.bit_length()} bits"


_SHORT = _ShortRepr()


def closest(name: str, known: Sequence[str]) -> str:
    """Return ``"; did you mean X?"`` for the name of `known` that is most similar to `name`, or a list of them."""
    from difflib import get_close_matches

    comparable = [other for other in known[:_MAX_COMPARED] if len(other) <= MAX_SHOWN]
    near = get_close_matches(name[:MAX_SHOWN], comparable, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {_listed(sorted(comparable), len(known))}"


def _listed(names: Sequence[str], count: int) -> str:
    """Return the first of `names`, up to `_MAX_LISTED` characters, and how many of `count` are left out."""
    length, listed = 0, list[str]()
    for name in names:
        length += len(name) + 2
        if length > _MAX_LISTED:
            break
        listed.append(name)
    rest = [f"and {count - len(listed)} more"] if len(listed) < count else []
    return ", ".join(listed + rest)
