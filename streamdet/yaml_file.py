"""The one reader of YAML: settings, model tables, data files; what no such file needs is refused in a sentence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from streamdet.errors import InputError, shown

MAX_BYTES = 1_000_000
MAX_VALUES = 100_000  # an alias counts as all that it stands for
MAX_DEPTH = 20
MAX_DIGITS = 100  # of a number

# The parser in C is ten times as fast; it is in every binary distribution of PyYAML.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT, _WHOLE, _MERGE = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "merge"))


def read_yaml(path: Path, what: str, *, as_written: Collection[str] = ()) -> dict[Any, Any]:
    """Return the keys and values in the YAML file at `path`, none for an empty file; keys are text or whole numbers.

    Below the keys `as_written` every value stays the text that it is written as: the class ``no`` is not False. Raises
    InputError, which says that `what` was expected, for a file that cannot be read, a list, a key that is stated twice,
    and a file larger than the limits of this module.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")
        found = parse_yaml(content.decode("utf-8-sig"), as_written)
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is no UTF-8 text"
    except OSError as error:
        reason = error.strerror or str(error)
    except ValueError as error:
        reason = str(error)
    else:
        if isinstance(found, dict):
            return found
        reason = f"keys and values were expected at the top, found {shown(found)}"
        if found is None:
            return {}
    raise InputError(f"{path}: expected {what} in YAML, but it cannot be read: {reason}")


def parse_yaml(text: str, as_written: Collection[str] = ()) -> Any:
    """Return the value that the YAML `text` states, see `read_yaml`; raises ValueError."""
    try:
        _check_size(yaml.parse(text, Loader=_Loader))
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        for node in _nodes(root):
            _check(node)
        _keep_as_written(root, as_written)
        return loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{where}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    except (AttributeError, LookupError, TypeError):  # what PyYAML raises for ``!!timestamp x`` and the like
        raise ValueError("a value is not of the type that its tag states") from None


def key_line(path: Path, place: tuple[str, ...]) -> int | None:
    """Return the line, from 1, of the deepest key of `place` in the YAML file at `path`, None if there is none."""
    line = None
    try:
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    for key in place:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((name, value) for name, value in pairs if name.value == key), None)
        if found is None:
            return line
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _check_size(events: Iterable[Any]) -> None:
    """Raise ValueError when the document is nested too deeply, or has too many values with its aliases written out."""
    sizes: dict[str, int] = {}  # values below each anchor
    total, open_ = 0, list[tuple[str | None, int]]()  # anchor, and the values before it
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.AliasEvent):
            # An anchor is unknown while it is open: a value that contains itself has no end.
            if event.anchor not in sizes:
                raise ValueError(f"line {line}: no value is complete that *{event.anchor} names")
            total += sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            total += 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_.append((event.anchor, total - 1))
            elif event.anchor:
                sizes[event.anchor] = 1
        if len(open_) > MAX_DEPTH:
            raise ValueError(f"line {line}: it is nested more than {MAX_DEPTH} deep")
        if total > MAX_VALUES:
            raise ValueError(f"it states more than {MAX_VALUES:,} values")


def _nodes(root: yaml.Node) -> Iterator[Any]:
    """Yield `root` and all nodes below it, each once."""
    seen, waiting = set[int](), [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _check(node: Any) -> None:
    """Raise ValueError for a number without end, and for a key that is stated twice or is neither word nor number."""
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode) and node.tag != _TEXT and len(node.value) > MAX_DIGITS:
        raise ValueError(f"line {line}: expected a value of at most {MAX_DIGITS} characters, found {shown(node.value)}")
    if not isinstance(node, yaml.MappingNode):
        return
    stated = set[str]()
    for key, _ in node.value:
        if key.tag not in (_TEXT, _WHOLE, _MERGE):
            found = shown(key.value) if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
            raise ValueError(f"line {line}: expected words or whole numbers as keys, found {found}")
        if key.value in stated:
            raise ValueError(f"line {key.start_mark.line + 1}: the key {shown(key.value)} is stated twice")
        stated.add(key.value)


def _keep_as_written(root: yaml.Node, keys: Collection[str]) -> None:
    """Make text of all values below the `keys` of a document, those of a mapping without its own keys."""
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    for top in (value for key, value in pairs if key.value in keys):
        kept = {id(key) for node in _nodes(top) if isinstance(node, yaml.MappingNode) for key, _ in node.value}
        for node in _nodes(top):
            if isinstance(node, yaml.ScalarNode) and node is not top and id(node) not in kept:
                node.tag = _TEXT
