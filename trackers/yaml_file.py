"""Reads the settings of a tracker from a YAML file; what no such file needs is refused in a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 100_000
MAX_DEPTH = 20
MAX_CHARACTERS = 80  # of a key and of a number
MAX_MESSAGE = 200  # characters of what PyYAML says, which quotes the file

_TEXT = "tag:yaml.org,2002:str"


def read_yaml(path: Path) -> Any:
    """Return the value that the YAML file at `path` states, None for an empty file.

    Raises ValueError for a file that cannot be read, is large or deeply nested, states a key twice, or has an alias,
    since a few aliases can stand for any amount of memory.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        text = content.decode("utf-8-sig")
        _check_events(text)
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        _check_node(root)
        return None if root is None else loader.construct_document(root)
    except OSError as error:
        found = error.strerror or str(error)
    except UnicodeDecodeError as error:
        found = f"no UTF-8 text at byte {error.start}"
    except (ValueError, yaml.YAMLError) as error:
        found = " ".join(str(error).split())[:MAX_MESSAGE]
    except (AttributeError, LookupError, TypeError):  # what PyYAML raises for ``!!timestamp x`` and the like
        found = "a value that is not of the type that its tag states"
    raise ValueError(f"expected a readable YAML file, found {found}")


def _check_events(text: str) -> None:
    """Raise ValueError for an alias and for deep nesting, before values are made of either."""
    depth = 0
    events: Iterable[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"the alias *{event.anchor} in line {line}: state the value instead")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"values nested more than {MAX_DEPTH} deep in line {line}")


def _check_node(node: Any) -> None:
    """Raise ValueError for a number of more digits than Python converts, and for a key that is stated twice."""
    if isinstance(node, yaml.ScalarNode) and node.tag != _TEXT and len(node.value) > MAX_CHARACTERS:
        raise ValueError(f"a value of more than {MAX_CHARACTERS} characters in line {node.start_mark.line + 1}")
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_node(item)
    elif isinstance(node, yaml.MappingNode):
        stated = set[str]()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag != _TEXT or len(key.value) > MAX_CHARACTERS or not key.value.isprintable():
                raise ValueError(f"a key that is no word in line {line}")
            if key.value in stated:
                raise ValueError(f"the key {key.value} twice, again in line {line}")
            stated.add(key.value)
            _check_node(value)
