"""Model tables, YAML with rows ``[from, repeats, module, args]`` and scales, and `ModelSpec`, which they resolve to."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from streamdet.errors import InputError, closest, shown
from streamdet.files import path_kind, resource, user_path
from streamdet.models.activation import DEFAULT, read_activation
from streamdet.models.class_names import table_class_names
from streamdet.models.registry import BLOCKS, Argument, Arguments, Features, Scale
from streamdet.yaml_file import read_yaml

MAX_LAYERS = 2000  # with repeats: far above any network, far below what would stall the machine
MAX_SOURCES = 100  # of a layer
MAX_ARGUMENTS = 20  # of a layer
MAX_NAME = 200  # characters of the name of a class
MAX_MODEL_NAME = 255  # characters of the name of a model, which is that of a file
MAX_JSON = 10_000_000  # characters of a spec
MAX_ANCHORS = 100  # of one level

_SCALE_KEYS = ["scale", "scales", "depth_multiple", "width_multiple"]
_KEYS = ["backbone", "head", "nc", "names", "anchors", "kpt_shape", "ch", "channels", "act", "activation", *_SCALE_KEYS]
_NOTES = ["yaml_file", "task"]  # further keys in published checkpoints, which are ignored

# yolov8n-seg: family yolov8, scale letter n, variant -seg
_NAME = re.compile(r"(?P<family>yolov?\d+)(?P<scale>[a-z]?)(?P<variant>-.+)?")


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer: the layers that it reads by index (-1 is the image), its repeats, its module and its arguments."""

    sources: tuple[int, ...]
    repeats: int
    block: str
    args: Arguments


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A network without its weights, with every number resolved.

    `layers` end with the head, whose first argument is the number of classes; `activation` is the name of that behind
    all convolutions, see `streamdet.models.activation`. Raises InputError if they are no network.
    """

    name: str
    task: str
    class_names: tuple[str, ...]
    layers: tuple[LayerSpec, ...]
    activation: str = DEFAULT

    def __post_init__(self) -> None:
        object.__setattr__(self, "activation", read_activation(self.activation, self.name))
        for index, layer in enumerate(self.layers):
            check_row(f"{self.name}, row {index}", index, layer.sources, layer.repeats, layer.block, layer.args)
        if (total := sum(layer.repeats for layer in self.layers)) > MAX_LAYERS:
            raise InputError(f"{self.name}: expected at most {MAX_LAYERS} layers, found {total}")
        if (length := len(self.name)) > MAX_MODEL_NAME:
            raise InputError(f"expected a model name of at most {MAX_MODEL_NAME} characters, found one of {length:,}")
        for name in self.class_names:
            if len(name) > MAX_NAME:
                found = f"{len(name)}: {shown(name)}"
                raise InputError(f"{self.name}: expected class names of at most {MAX_NAME} characters, found {found}")
        last = self.layers[-1].block if self.layers else "no row at all"
        if not self.layers or BLOCKS[last].task != self.task:
            raise InputError(
                f"{self.name}: expected a head for the task {shown(self.task)} as the last row, found {last}"
            )
        if self.layers[-1].args[:1] != (len(self.class_names),):
            expected = ", ".join(map(str, self.layers[-1].args[:1]))
            raise InputError(f"{self.name}: expected names for {expected} classes, found {len(self.class_names)}")

    @property
    def kpt_shape(self) -> tuple[int, int] | None:
        """How many key points an object has, and how many numbers each: x, y, or x, y and visibility; None without."""
        match self.task, self.layers[-1].args:
            case "pose", (_, (int(count), int(dims)), *_):
                return count, dims
        return None

    def renamed(self, class_names: tuple[str, ...]) -> "ModelSpec":
        """Return the same network with other names for its classes; raises InputError when their number differs."""
        return replace(self, class_names=class_names)

    def with_classes(self, class_names: tuple[str, ...], kpt_shape: tuple[int, int] | None = None) -> "ModelSpec":
        """Return the network for other classes, whose number may differ, and of a pose model for other key points."""
        head = self.layers[-1]
        args = (len(class_names), *head.args[1:])
        if kpt_shape is not None:
            if self.task != "pose":
                raise InputError(f"{self.name}: expected kpt_shape for the task pose only, found the task {self.task}")
            args = (len(class_names), kpt_shape, *head.args[2:])
        spec = replace(self, class_names=class_names, layers=(*self.layers[:-1], replace(head, args=args)))
        _require_fitting(spec)
        return spec

    def to_json(self) -> str:
        """Return the spec as JSON text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ModelSpec":
        """Return the spec that `to_json` wrote; raises InputError when `text` is something else, or no network."""
        if len(text) > MAX_JSON:
            raise InputError(f"expected a model description of at most {MAX_JSON:,} characters, found {len(text):,}")
        try:
            spec = TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the top"
            raise InputError(f"the stored model description is damaged at {place}: {first['msg']}") from None
        _require_fitting(spec)
        return spec


def _require_fitting(spec: ModelSpec) -> None:
    """Raise InputError if a layer of `spec` is not the one that its rule makes for the layers that it reads."""
    features = {-1: Features(3, 1)}
    for index, layer in enumerate(spec.layers):
        block, where = BLOCKS[layer.block], f"{spec.name}, row {index} ({layer.block})"
        try:
            args, features[index] = block.rule(block.stated(layer.args), [features[s] for s in layer.sources], Scale())
        except ValueError as error:
            raise InputError(f"{where}: {error}") from None
        if args != layer.args:
            raise InputError(f"{where}: expected {shown(args)} for the layers that it reads, found {shown(layer.args)}")


def check_row(where: str, index: int, sources: Sequence[int], repeats: int, block: str, args: Sequence[object]) -> None:
    """Raise InputError, which begins with `where`, if row `index` of a network is not valid."""
    if block not in BLOCKS:
        raise InputError(f"{where}: unknown module {shown(block)}{closest(block, list(BLOCKS))}")
    if not 1 <= repeats <= MAX_LAYERS:
        raise InputError(f"{where}: expected 1 to {MAX_LAYERS} repeats, found {shown(repeats)}")
    if len(sources) > MAX_SOURCES or len(args) > MAX_ARGUMENTS:
        limits = f"at most {MAX_SOURCES} rows to read and {MAX_ARGUMENTS} arguments"
        raise InputError(f"{where}: expected {limits}, found {len(sources)} and {len(args)}")
    if not sources or not all(-1 <= source < index for source in sources):
        raise InputError(f"{where}: expected it to read rows before it, found {shown(list(sources))}")
    if len(sources) > 1 and not BLOCKS[block].joins:
        raise InputError(f"{where}: {block} reads one row, found {shown(list(sources))}")


def load_spec(name_or_path: str | Path) -> ModelSpec:
    """Return the spec of a shipped table (``yolov8n``, ``yolov8n.yaml``) or of the user's own YAML file.

    The scale of a file is the letter in its name (``yolov8n``), else its ``scale`` key, else the first of its scales.
    Raises InputError for an unknown name, and for a malformed table, with the number of the row.
    """
    path = user_path(name_or_path)
    named = _NAME.fullmatch(path.stem)
    if path_kind(path) == "file":
        return resolve(_read(path), path.stem, named["scale"] if named else "")
    if path.name != str(name_or_path) or path.suffix not in ("", ".yaml", ".yml"):
        raise InputError(f"expected a model name such as yolov8n or a YAML file, found {shown(str(name_or_path))}")
    shipped = {file.stem: file for file in sorted(resource("configs/models").glob("*.yaml"))}
    if table := shipped.get(path.stem):
        return resolve(_read(table), path.stem)
    if named and (table := shipped.get(named["family"] + (named["variant"] or ""))):
        return resolve(_read(table), path.stem, named["scale"])
    known = [name for file in shipped.values() for name in _scaled_names(file)]
    raise InputError(f"unknown model {shown(path.stem)}{closest(path.stem, known)}")


def resolve(table: Any, name: str, scale: str = "") -> ModelSpec:
    """Return the spec of the parsed `table`, named `name`; raises InputError, which begins with `name`.

    Without the letter `scale`, that of the table's ``scale`` key is used, else the first of its scales.
    """
    if not isinstance(table, Mapping):
        raise InputError(f"{name}: expected a table with backbone and head, found {type(table).__name__}")
    rows = _rows(table, name)
    for key in table:
        if key not in _KEYS + _NOTES:
            raise InputError(f"{name}: unknown key {shown(key)}{closest(str(key), _KEYS)}")
    if any(table.get(key, 3) != 3 for key in ("ch", "channels")):
        raise InputError(f"{name}: expected 3 input channels, found {shown(table.get('ch', table.get('channels')))}")
    factors, class_names = _scale(table, name, scale), table_class_names(table, name)
    words = {"nc": len(class_names), "None": None, "anchors": _anchors(table, name), "kpt_shape": _kpt_shape(table)}
    layers: list[LayerSpec] = []
    features = {-1: Features(3, 1)}
    for index, row in enumerate(rows):
        args = tuple(_argument(f"{name}, row {index}", arg, words) for arg in row.args)
        try:
            args, features[index] = BLOCKS[row.block].rule(args, [features[s] for s in row.sources], factors)
        except ValueError as error:
            raise InputError(f"{name}, row {index} ({row.block}): {error}") from None
        layers.append(LayerSpec(row.sources, factors.repeats(row.repeats), row.block, args))
    activation = table.get("activation", table.get("act", DEFAULT))
    return ModelSpec(name, BLOCKS[rows[-1].block].task or "detect", class_names, tuple(layers), activation)


def _read(path: Path) -> dict[Any, Any]:
    return read_yaml(path, "a model table", as_written=("names",))


def _scaled_names(file: Path) -> list[str]:
    family, dash, variant = file.stem.partition("-")
    return [family + letter + dash + variant for letter in _read(file).get("scales", ("",))]


class _Row(NamedTuple):
    sources: tuple[int, ...]
    repeats: int
    block: str
    args: list[Any]


def _rows(table: Mapping[str, Any], name: str) -> list[_Row]:
    rows: list[_Row] = []
    for part in ("backbone", "head"):
        if not isinstance(table.get(part), list) or not table[part]:
            raise InputError(f"{name}: expected rows under {part!r}, found {type(table.get(part)).__name__}")
        if len(table[part]) > MAX_LAYERS:
            raise InputError(f"{name}: expected at most {MAX_LAYERS} rows under {part!r}, found {len(table[part])}")
        for stated in table[part]:
            where = f"{name}, row {len(rows)}"
            row = _row(where, len(rows), stated)
            check_row(where, len(rows), row.sources, row.repeats, row.block, row.args)
            rows.append(row)
    return rows


def _row(where: str, index: int, stated: Any) -> _Row:
    match stated:
        case [int() | list() as sources, int() as repeats, str() as block, list() as args]:
            relative = [sources] if isinstance(sources, int) else sources
            if all(type(source) is int for source in relative):
                # Published tables call both heads Detect; only that of YOLOv5 takes anchors.
                block = "AnchorDetect" if block == "Detect" and "anchors" in args else block
                # A negative source counts back from this row; -1 of row 0 is the image.
                return _Row(tuple(s if s >= 0 else index + s for s in relative), repeats, block, args)
    raise InputError(f"{where}: expected [from, repeats, module, args], found {shown(stated)}")


def _argument(where: str, stated: Any, words: Mapping[str, Argument]) -> Argument:
    """Return one constructor argument; one of `words` stands for its value."""
    if isinstance(stated, list) and all(type(item) is int for item in stated):
        return tuple(stated)
    if stated is not None and not isinstance(stated, bool | int | float | str):
        raise InputError(f"{where}: expected numbers, words or lists of whole numbers as args, found {shown(stated)}")
    return words.get(stated, stated) if isinstance(stated, str) else stated


def _anchors(table: Mapping[str, Any], name: str) -> tuple[tuple[float, ...], ...] | None:
    """Return the widths and heights of the anchors of each level, None if the table has none."""
    levels = table.get("anchors")
    if levels is None:
        return None
    if isinstance(levels, list) and all(_is_level(level) and len(level) == len(levels[0]) for level in levels):
        return tuple(tuple(float(size) for size in level) for level in levels)
    raise InputError(f"{name}: expected anchors as lists of widths and heights in pixels, found {shown(levels)}")


def _kpt_shape(table: Mapping[str, Any]) -> Argument:
    """Return the number of key points and of the numbers of each, as the table states them; the head checks them."""
    stated = table.get("kpt_shape")
    return tuple(stated) if isinstance(stated, list | tuple) else stated


def _is_level(sizes: Any) -> bool:
    if not isinstance(sizes, list) or len(sizes) not in range(2, MAX_ANCHORS * 2 + 1, 2):
        return False
    return all(isinstance(size, int | float) and 0 < size < 1e6 for size in sizes)


def _scale(table: Mapping[str, Any], name: str, letter: Any) -> Scale:
    scales = table.get("scales")
    if scales is None:
        factors = [table.get("depth_multiple", 1.0), table.get("width_multiple", 1.0)]
    elif isinstance(scales, Mapping) and scales:
        letter = letter or table.get("scale") or next(iter(scales))
        if not isinstance(letter, str) or letter not in scales:
            known = [key for key in scales if isinstance(key, str)]
            raise InputError(f"{name}: unknown scale {shown(letter)}{closest(shown(letter), known)}")
        factors = scales[letter]
    else:
        raise InputError(f"{name}: expected scales such as {{n: [0.33, 0.25, 1024]}}, found {shown(scales)}")
    numbers = isinstance(factors, list | tuple) and all(
        isinstance(factor, int | float) and 0 < factor < 1e6 for factor in factors
    )
    if not numbers or len(factors) not in (2, 3):
        raise InputError(f"{name}: expected a scale [depth, width, max_channels], found {shown(factors)}")
    return Scale(*factors)
