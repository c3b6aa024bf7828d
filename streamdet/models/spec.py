"""A model as data: its layers with every number resolved. `table` makes one from YAML, `build` a network from it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from pydantic import TypeAdapter, ValidationError

from streamdet.errors import InputError, closest
from streamdet.models.registry import BLOCKS, Arguments

MAX_LAYERS = 2000  # repeats counted: far above any network, far below what would stall the machine


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer: the indices of the layers it reads (-1 is the image), its repeats, its module and their arguments."""

    sources: tuple[int, ...]
    repeats: int
    block: str
    args: Arguments


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A network without its weights; `layers` end with the head, whose first argument is the number of classes.

    Raises InputError where they make no network.
    """

    name: str
    task: str
    class_names: tuple[str, ...]
    layers: tuple[LayerSpec, ...]

    def __post_init__(self) -> None:
        for index, layer in enumerate(self.layers):
            check_row(f"{self.name}, row {index}", index, layer.sources, layer.repeats, layer.block)
        if (total := sum(layer.repeats for layer in self.layers)) > MAX_LAYERS:
            raise InputError(f"{self.name}: expected at most {MAX_LAYERS} layers, found {total}")
        last = self.layers[-1].block if self.layers else "no row at all"
        if not self.layers or BLOCKS[last].task != self.task:
            raise InputError(f"{self.name}: expected a head for the task {self.task!r} as the last row, found {last}")
        if self.layers[-1].args[:1] != (len(self.class_names),):
            expected = ", ".join(map(str, self.layers[-1].args[:1]))
            raise InputError(f"{self.name}: expected names for {expected} classes, found {len(self.class_names)}")

    def renamed(self, class_names: tuple[str, ...]) -> "ModelSpec":
        """Return the same network with other names for its classes; raises InputError when their number differs."""
        return replace(self, class_names=class_names)

    def with_classes(self, class_names: tuple[str, ...]) -> "ModelSpec":
        """Return the network for other classes, of which there may be more or fewer."""
        head = self.layers[-1]
        layers = (*self.layers[:-1], replace(head, args=(len(class_names), *head.args[1:])))
        return replace(self, class_names=class_names, layers=layers)

    def to_json(self) -> str:
        """Return the spec as JSON text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ModelSpec":
        """Return the spec that `to_json` wrote; raises InputError when `text` is something else."""
        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the top"
            raise InputError(f"the stored model description is damaged at {place}: {first['msg']}") from None


def check_row(where: str, index: int, sources: Sequence[int], repeats: int, block: str) -> None:
    """Raise InputError, starting with `where`, when row `index` of a network cannot be one."""
    if block not in BLOCKS:
        raise InputError(f"{where}: unknown module {block!r}{closest(block, list(BLOCKS))}")
    if not 1 <= repeats <= MAX_LAYERS:
        raise InputError(f"{where}: expected 1 to {MAX_LAYERS} repeats, found {repeats}")
    if not sources or not all(-1 <= source < index for source in sources):
        raise InputError(f"{where}: expected it to read rows before it, found {list(sources)}")
    if len(sources) > 1 and not BLOCKS[block].joins:
        raise InputError(f"{where}: {block} reads one row, found {list(sources)}")
