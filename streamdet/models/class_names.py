"""The names of a model's classes, as a table or a checkpoint states them."""

from collections.abc import Mapping
from typing import Any

from streamdet.errors import InputError, shown

MAX_CLASSES = 10_000


def table_class_names(table: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the class names of a model table, numbers if it only states how many; raises InputError for others."""
    stated = read_class_names(table["names"], name) if "names" in table else None
    count = table.get("nc", len(stated) if stated else None)
    if type(count) is not int or not 1 <= count <= MAX_CLASSES:
        raise InputError(f"{name}: expected nc, the number of classes, from 1 to {MAX_CLASSES}, found {shown(count)}")
    if stated is not None and len(stated) != count:
        raise InputError(f"{name}: expected names for {count} classes, found {len(stated)}")
    return stated or tuple(str(index) for index in range(count))


def read_class_names(names: Any, where: str) -> tuple[str, ...]:
    """Return class names from a list or from ``{0: name, ...}``; raises InputError, which begins with `where`."""
    if isinstance(names, Mapping | list | tuple) and len(names) > MAX_CLASSES:
        raise InputError(f"{where}: expected at most {MAX_CLASSES} class names, found {len(names)}")
    if isinstance(names, Mapping) and all(index in names for index in range(len(names))):
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list | tuple) or not all(_is_name(name) for name in names):
        raise InputError(f"{where}: expected class names as a list or numbered from 0, found {type(names).__name__}")
    return tuple(str(name) for name in names)


def _is_name(name: object) -> bool:
    return isinstance(name, str) or (type(name) is int and abs(name) < MAX_CLASSES)
