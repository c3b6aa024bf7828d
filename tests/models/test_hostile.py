"""Checkpoints that try to run code or to fill the memory: nothing runs, and one sentence says what was tried."""

import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamdet.errors import InputError
from streamdet.models.checkpoint import read_checkpoint
from streamdet.models.weights import load_model


class Call:
    """Pickles to a call of `function`, which pickle would run while it loads."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.args


def touch(marker: Path) -> Call:
    return Call(os.system, f"touch '{marker}'")


def body(value: Any) -> bytes:
    """The instructions that leave `value`, without start and stop."""
    return pickle.dumps(value, 2)[2:-1]


def write(path: Path, program: bytes, storages: dict[str, bytes] | None = None, compression: int = 0) -> Path:
    """Write a checkpoint archive around a pickle."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program)
        for key, numbers in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", numbers)
    return path


# Programs that create the file `marker` when pickle loads them, and what they are said to have tried.
RUNNING: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "os.system": (lambda m: pickle.dumps(touch(m), 2), "posix.system"),
    "text protocol": (lambda m: pickle.dumps(touch(m), 0), "posix.system"),
    "protocol 4": (lambda m: pickle.dumps(touch(m), 4), "posix.system"),
    "eval": (lambda m: pickle.dumps(Call(eval, f"open({str(m)!r}, 'w').close()"), 2), "__builtin__.eval"),
    "exec": (lambda m: pickle.dumps(Call(exec, f"open({str(m)!r}, 'w').close()"), 2), "__builtin__.exec"),
    "class of the standard library": (
        lambda m: pickle.dumps(Call(subprocess.Popen, f"exec touch '{m}'", 0, None, None, -1, -1, None, True, True), 2),
        "commands.Popen",
    ),
    "deep in the model": (lambda m: pickle.dumps({"model": [{"state": (1, touch(m))}]}, 2), "posix.system"),
    "as an argument": (lambda m: pickle.dumps(Call(InputError, touch(m)), 2), "posix.system"),
    "as attributes": (
        lambda m: b"\x80\x02cstreamdet.errors\nInputError\n)\x81}" + body("x") + body(touch(m)) + b"sb.",
        "posix.system",
    ),
    "dotted name": (
        lambda m: b"\x80\x04" + body("subprocess") + body("os.system") + b"\x93" + body((f"touch '{m}'",)) + b"R.",
        "subprocess.os.system",
    ),
    "dotted name in an allowed module": (
        lambda m: b"\x80\x04" + body("collections") + body("_sys.modules.get") + b"\x93" + body(("os",)) + b"R0"
        b"cos\nsystem\n" + body((f"touch '{m}'",)) + b"R.",
        "collections._sys.modules.get",
    ),
    "instance instruction": (lambda m: b"(" + body(f"touch '{m}'") + b"ios\nsystem\n.", "os.system"),
    "object instruction": (lambda m: b"(cos\nsystem\n" + body(f"touch '{m}'") + b"o.", "os.system"),
    "setstate of a class": (
        lambda m: b"\x80\x02c_functools\npartial\ncbuiltins\nprint\n\x85R"
        b"(cos\nsystem\n" + body((f"touch '{m}'",)) + b"}Ntb)R.",
        "_functools.partial",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNNING)
def test_a_program_that_pickle_would_run_does_nothing(tmp_path: Path, name: str) -> None:
    make, tried = RUNNING[name]
    marker = tmp_path / "marker"
    program = make(marker)
    with pytest.raises(
        InputError, match=rf"hostile\.pt is not a usable checkpoint: it tries to call {tried}, .*nothing"
    ):
        load_model(write(tmp_path / "hostile.pt", program))
    assert not marker.exists()
    # The program is a real one: pickle does run it.
    result = pickle.loads(program)
    if isinstance(result, subprocess.Popen):
        result.communicate()
    assert marker.exists()


@pytest.mark.parametrize(
    "name",
    [
        *("builtins getattr", "builtins __import__", "builtins setattr", "operator attrgetter", "os popen"),
        *("torch.hub load", "torch load", "torch._utils _rebuild_from_type_v2", "torch.serialization load"),
        *("numpy load", "runpy run_path", "importlib import_module", "webbrowser open", "code interact"),
        *("streamdet.models.weights load_model", "__main__ helper", "collections OrderedDict.fromkeys"),
        *("subprocess Popen", "pty spawn", "ctypes CDLL", "pickle Unpickler", "builtins Exception", "io FileIO"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("instruction", ["R", "\x81"])
def test_a_call_of_anything_but_a_class_of_data_is_refused(tmp_path: Path, name: str, instruction: str) -> None:
    program = b"\x80\x02c" + name.replace(" ", "\n").encode() + b"\n" + body(("a", "b")) + instruction.encode("latin1")
    with pytest.raises(InputError, match=f"it tries to call {name.replace(' ', '.')}"):
        read_checkpoint(write(tmp_path / "hostile.pt", program + b"."))


def test_a_module_that_the_file_names_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "trap.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Net:\n  pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    for program in (b"ctrap\nNet\n)\x81}b.", b"ctrap\nNet\n)R.", b"ctrap\nNet\n."):
        with pytest.raises(InputError):
            load_model(write(tmp_path / "hostile.pt", b"\x80\x02" + program))
    assert "trap" not in sys.modules
    assert not marker.exists()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"\x80\x02cother\nThing\n)\x81)R.", "it tries to call a StandIn"),
        (b"\x80\x02" + body("os.system") + b")R.", "it tries to call a str"),
        (b"\x80\x02\x82\x01.", "its pickle uses the instruction EXT1"),
        (b"Pos.system\n.", "its pickle uses the instruction PERSID"),
        (b"\x80\x05\x97.", "its pickle uses the instruction NEXT_BUFFER"),
    ],
)
def test_other_ways_to_make_pickle_call_something(tmp_path: Path, program: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_checkpoint(write(tmp_path / "hostile.pt", program))


def storage(count: int, kind: str = "FloatStorage", key: str = "0") -> bytes:
    """The instructions for a reference to a storage of `count` numbers."""
    return b"(" + body("storage") + b"ctorch\n" + kind.encode() + b"\n" + body(key) + body("cpu") + body(count) + b"tQ"


def tensor(count: int, offset: Any, size: Any, stride: Any) -> bytes:
    """The instructions for a view of a storage of `count` numbers."""
    view = body(offset) + body(size) + body(stride)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(count) + view + b"\x89}tR"


@pytest.mark.parametrize(
    ("instructions", "message"),
    [
        (storage(10**12), "storage 0 should hold 1000000000000 numbers of torch.FloatStorage, found 4"),
        (storage(3), "storage 0 should hold 3 numbers"),
        (storage(4, "DoubleStorage"), "storage 0 should hold 4 numbers"),
        (storage(4) + b"0" + storage(4, "IntStorage"), "storage 0 should hold 4 numbers of torch.IntStorage"),
        (storage(4, key="1"), "it has no record data/1"),
        (storage(4, key="../data.pkl"), "it has no record data/../data.pkl"),
        (storage(4, "_UntypedStorage"), "refers to a tensor in a way that torch.save does not"),
        (tensor(4, 0, (10**6, 10**6), (0, 0)), "its pickle is damaged .a tensor larger than its storage of 4 numbers"),
        (tensor(4, 2, (3,), (1,)), "its pickle is damaged"),
        (tensor(4, -1, (2,), (1,)), "its pickle is damaged"),
        (tensor(4, 0, (-2, -2), (1, 1)), "its pickle is damaged"),
        (tensor(4, 0, (2,), (10**30,)), "its pickle is damaged"),
        (tensor(4, 0, "ab", (1,)), "its pickle is damaged"),
        (tensor(4, 0, (1,) * 100_000, (1,) * 100_000), "its pickle is damaged"),
    ],
)
def test_sizes_that_the_archive_does_not_hold_are_refused(tmp_path: Path, instructions: bytes, message: str) -> None:
    file = write(tmp_path / "bomb.pt", b"\x80\x02" + instructions + b".", {"0": bytes(16)})
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            read_checkpoint(file)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_compressed_records_are_refused_before_they_unfold(tmp_path: Path) -> None:
    file = write(tmp_path / "bomb.pt", b"\x80\x02" + storage(5 * 10**7), {"0": bytes(2 * 10**8)}, zipfile.ZIP_DEFLATED)
    assert file.stat().st_size < 10**6
    with pytest.raises(InputError, match="its records are compressed"):
        read_checkpoint(file)


def test_records_that_overlap_are_refused(tmp_path: Path) -> None:
    """Many entries of the directory may point at the same bytes of the file."""
    file = write(tmp_path / "bomb.pt", b"\x80\x02.", {f"{key:02}": bytes(10_000) for key in range(3)})
    content = bytearray(file.read_bytes())
    for key in (b"01", b"02"):
        entry = content.rindex(b"archive/data/" + key) - 46
        content[entry + 20 : entry + 28] = (25_000).to_bytes(4, "little") * 2
    file.write_bytes(content)
    with pytest.raises(InputError, match="its records claim more bytes than the file has"):
        read_checkpoint(file)


def test_modules_inside_each_other_end(tmp_path: Path) -> None:
    """A module that contains itself, and one of which every level holds the next one twice."""
    net = b"cother\nNet\n)\x81"
    loop = b"\x80\x02" + net + b"q\x01}" + body("_modules") + b"}" + body("again") + b"h\x01ssb."
    assert read_checkpoint(write(tmp_path / "loop.pt", loop)).state == {}
    program = net + b"q\x00"
    for level in range(30):
        pair = b"}" + body("a") + b"h" + bytes([level]) + b"s" + body("b") + b"h" + bytes([level]) + b"s"
        program += net + b"}" + body("_modules") + pair + b"sb" + b"q" + bytes([level + 1])
    assert read_checkpoint(write(tmp_path / "twice.pt", b"\x80\x02" + program + b".")).state == {}


def test_names_that_grow_without_end_are_refused(tmp_path: Path) -> None:
    program = b"\x80\x02cother\nNet\n)\x81"
    for level in range(200):
        program += (
            b"q"
            + bytes([level])
            + b"cother\nNet\n)\x81}"
            + body("_modules")
            + b"}"
            + body("a")
            + b"h"
            + bytes([level])
            + b"ssb"
        )
    with pytest.raises(InputError, match="its modules are nested too deeply, expected names up to 256 characters"):
        read_checkpoint(write(tmp_path / "deep.pt", program + b"."))
