"""Reads a pickle as data: nothing that the file names is imported, created or called.

A pickle is a program for a small stack machine. `Machine` has only its instructions for data. A call of a class gives
a `StandIn` with the stored attributes. Only functions of our own that `Machine` was given for a name are run in place
of the named ones; all other calls are refused.
"""

import _compat_pickle
import pickletools
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from streamdet.errors import InputError

# Protocol 2, which torch.save writes, calls modules of the standard library as Python 2 did.
_STANDARD_MODULES = sys.stdlib_module_names | _compat_pickle.IMPORT_MAPPING.keys()

_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
_TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_LITERALS = _NUMBERS | _TEXTS | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
_SCALARS = (str, bytes, int, float, type(None))


class Global(NamedTuple):
    """The name of a class or function and of its module, as the pickle states them: only a pair of texts."""

    module: str
    name: str

    def __str__(self) -> str:
        """Return the full name on one line: a hostile pickle may name anything."""
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in f"{self.module}.{self.name}")

    @property
    def is_foreign_class(self) -> bool:
        """Whether this looks like a class (CapWords, PEP 8) from outside the standard library."""
        last = self.name.rpartition(".")[2].lstrip("_")
        return last[:1].isupper() and self.module.partition(".")[0] not in _STANDARD_MODULES


class StandIn:
    """An object whose class is not run: the name of the class and the stored attributes."""

    __slots__ = ("state", "type")

    def __init__(self, type_: Global) -> None:
        self.type = type_
        self.state: dict[Any, Any] = {}


class Machine:
    """The stack machine of pickles, with the instructions that checkpoints need.

    `calls` are our own functions, to be run in place of those that the pickle names. A call of a name in `inert`, or of
    a class from outside the standard library, gives a `StandIn`. `persistent` resolves references to storages.
    """

    def __init__(
        self, calls: Mapping[Global, Callable[..., Any]], inert: frozenset[Global], persistent: Callable[[Any], Any]
    ) -> None:
        self._calls, self._inert, self._persistent = calls, inert, persistent
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # the stack beneath each open mark
        self._memo: dict[int, Any] = {}

    def run(self, program: bytes) -> Any:
        """Return the result of `program`.

        Raises InputError for a refused call, an instruction that no checkpoint needs, and a damaged program.
        """
        try:
            # genops checks every stated length against the bytes that follow. It only warns of invalid escapes.
            with warnings.catch_warnings(action="error", category=DeprecationWarning):
                for opcode, arg, _ in pickletools.genops(program):
                    if opcode.name == "STOP":
                        return self._stack.pop()
                    self._step(opcode.name, arg)
        except (ValueError, TypeError, LookupError, RuntimeError, OverflowError, DeprecationWarning) as error:
            raise InputError(f"its pickle is damaged ({str(error) or type(error).__name__})") from None
        raise InputError("its pickle is damaged (it has no end)")

    def _step(self, name: str, arg: Any) -> None:
        stack = self._stack
        if name in _LITERALS:
            stack.append(arg)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _INSTRUCTIONS:
            _INSTRUCTIONS[name](self, arg)
        elif name not in ("PROTO", "FRAME"):
            raise InputError(f"its pickle uses the instruction {name}, which no checkpoint needs")

    def _get(self, arg: Any) -> None:
        self._stack.append(self._memo[int(arg)])

    def _put(self, arg: Any) -> None:
        self._memo[int(arg)] = self._stack[-1]

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _since_mark(self, _: Any = None) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _pop(self, _: Any) -> None:
        self._stack.pop()

    def _tuple(self, _: Any) -> None:
        items = self._since_mark()
        self._stack.append(tuple(items))

    def _short_tuple(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError("stack underflow")
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _append(self, _: Any) -> None:
        item = self._stack.pop()
        self._extend([item])

    def _appends(self, _: Any) -> None:
        items = self._since_mark()
        self._extend(items)

    def _extend(self, items: list[Any]) -> None:
        """Add `items` to the container on top of the stack; those of a `StandIn` are dropped."""
        match self._stack[-1]:
            case list() as target:
                target.extend(items)
            case set() as target:
                target.update(_keys(items))
            case StandIn():
                pass
            case other:
                raise TypeError(f"items for a {type(other).__name__}")

    def _setitem(self, _: Any) -> None:
        pair = [self._stack.pop(), self._stack.pop()]
        self._update(pair[::-1])

    def _setitems(self, _: Any) -> None:
        items = self._since_mark()
        self._update(items)

    def _update(self, items: list[Any]) -> None:
        match self._stack[-1]:
            case dict() as target:
                target.update(zip(_keys(items[::2]), items[1::2], strict=True))
            case StandIn():
                pass
            case other:
                raise TypeError(f"entries for a {type(other).__name__}")

    def _global(self, arg: str) -> None:
        module, _, name = arg.partition(" ")
        self._stack.append(Global(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name that is no text")
        self._stack.append(Global(module, name))

    def _persistent_id(self, _: Any) -> None:
        self._stack.append(self._persistent(self._stack.pop()))

    def _reduce(self, _: Any) -> None:
        args = self._stack.pop()
        self._call(self._stack.pop(), args)

    def _new_with_keywords(self, _: Any) -> None:
        self._stack.pop()
        self._reduce(None)

    def _inst(self, arg: str) -> None:
        args = self._since_mark()
        self._global(arg)
        self._call(self._stack.pop(), tuple(args))

    def _obj(self, _: Any) -> None:
        function, *args = self._since_mark()
        self._call(function, tuple(args))

    def _call(self, function: Any, args: Any) -> None:
        if not isinstance(function, Global):
            raise InputError(f"it tries to call a {type(function).__name__}; nothing was run")
        if function in self._calls:
            self._stack.append(self._calls[function](*args))
        elif function in self._inert or function.is_foreign_class:
            self._stack.append(StandIn(function))
        else:
            raise InputError(f"it tries to call {function}, and a checkpoint may only hold data; nothing was run")

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        match self._stack[-1]:
            case StandIn() as target:
                # Attributes in slots come second in a pair. They are not copied: copies could fill the memory.
                attributes = state[0] or state[1] if isinstance(state, tuple) and len(state) == 2 else state
                target.state = attributes if isinstance(attributes, dict) else {}
            case dict():  # attributes of an OrderedDict are not needed
                pass
            case other:
                raise TypeError(f"attributes for a {type(other).__name__}")


def _keys(values: list[Any]) -> list[Any]:
    """Return `values` if they are scalars, else raise TypeError: hashing a deeply nested tuple ends the process."""
    for value in values:
        if not isinstance(value, _SCALARS):
            raise TypeError(f"a {type(value).__name__} as a key")
    return values


_INSTRUCTIONS: dict[str, Callable[[Machine, Any], Any]] = {
    "GET": Machine._get,
    "BINGET": Machine._get,
    "LONG_BINGET": Machine._get,
    "PUT": Machine._put,
    "BINPUT": Machine._put,
    "LONG_BINPUT": Machine._put,
    "MEMOIZE": Machine._memoize,
    "MARK": Machine._mark,
    "POP": Machine._pop,
    "POP_MARK": Machine._since_mark,
    "TUPLE": Machine._tuple,
    "TUPLE1": lambda machine, _: machine._short_tuple(1),
    "TUPLE2": lambda machine, _: machine._short_tuple(2),
    "TUPLE3": lambda machine, _: machine._short_tuple(3),
    "APPEND": Machine._append,
    "APPENDS": Machine._appends,
    "ADDITEMS": Machine._appends,
    "SETITEM": Machine._setitem,
    "SETITEMS": Machine._setitems,
    "GLOBAL": Machine._global,
    "STACK_GLOBAL": Machine._stack_global,
    "BINPERSID": Machine._persistent_id,
    "REDUCE": Machine._reduce,
    "NEWOBJ": Machine._reduce,
    "NEWOBJ_EX": Machine._new_with_keywords,
    "INST": Machine._inst,
    "OBJ": Machine._obj,
    "BUILD": Machine._build,
}
