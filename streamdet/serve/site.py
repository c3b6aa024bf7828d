"""The site file of ``streamdet serve``: one YAML with the model, the server, and the cameras with their options."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from streamdet.errors import InputError, closest, shown
from streamdet.fields import option_fields, options_from_keywords
from streamdet.serve.options import CameraSite, HostOptions, ServerOptions, WatchOptions, Zone
from streamdet.yaml_file import key_line, read_yaml

_SECRET = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")
_SHORT = ("detect", "objects", "record")  # sections of options, as Frigate has them
_RECORD = {"folder": "record", "segment": "segment_s"}
_MIN_SECRET = 4  # characters of a secret that is replaced in messages: a shorter one would be found in any text
O = TypeVar("O")  # noqa: E741

EXAMPLE = """\
# A site for: streamdet serve site.yaml
model: yolov8n.pt          # without it, the model inside the package
# device: cuda:0           # and all other options of the model: backend, precision, batch, ...
# workers: 2               # processes that the cameras are spread over, each with a model of its own

# Options of every camera, as of streamdet track; each may also be stated for one camera.
classes: [person, car]
size: 640
state: state               # a folder: ids go on after a restart, and are never given twice
events: events.jsonl       # objects that are new or lost, and enter or leave zones

server:
  host: 127.0.0.1          # any other address demands a token
  port: 8090
  # token: "{STREAMDET_TOKEN}"

# Words in braces are taken from the environment, or from this file with lines such as DOOR_PASSWORD=...
# secrets: secrets.env

cameras:
  door:
    source: rtsp://user:{DOOR_PASSWORD}@192.168.1.20/stream1
    objects: [person]
    zones:
      mat: {points: [[0.3, 0.6], [0.7, 0.6], [0.8, 1], [0.2, 1]], objects: [person]}    # shares of the picture, or px
  yard:
    source: rtsp://192.168.1.21/stream1
    detect: {conf: 0.2, size: 416}
    record: {folder: recordings, segment: 10m, keep: 7d}    # or keep: 20GB
"""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A whole site.

    - `events`: the file for what happens to objects, JSON lines.
    - `secrets`: the values that its placeholders stand for, by name.
    """

    cameras: tuple[CameraSite, ...] = ()
    model: HostOptions = field(default_factory=HostOptions)
    server: ServerOptions = field(default_factory=ServerOptions)
    events: Path | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)

    def camera(self, name: str) -> CameraSite | None:
        """Return the camera called `name`."""
        return next((each for each in self.cameras if each.name == name), None)

    def without_secrets(self, text: str) -> str:
        """Return `text` with every secret replaced by its placeholder."""
        for name, value in self.secrets.items():
            for form in (value, quote(value, safe="")):
                if len(form) >= _MIN_SECRET:
                    text = text.replace(form, f"{{{name}}}")
        return text


def read_site(path: Path) -> Site:
    """Return the site in the file at `path`; raises InputError with the line of what is wrong."""
    return _Reader(path).site(read_yaml(path, "a site"))


def site_from_sources(sources: Sequence[str], options: WatchOptions, model: HostOptions) -> Site:
    """Return a site of `sources`, named camera-1, camera-2, ..., with the same `options`, whose `state` is a folder."""
    values = {name: getattr(options, name) for name in option_fields(WatchOptions)}
    cameras = [
        CameraSite(name=name, source=source, **values | _state(options.state, name))
        for name, source in ((f"camera-{number}", source) for number, source in enumerate(sources, 1))
    ]
    return Site(cameras=tuple(cameras), model=model)


def _state(folder: str | Path | None, name: str) -> dict[str, str]:
    """Return the option `state` of the camera called `name`, none without a folder for states."""
    return {} if folder is None else {"state": str(Path(folder) / f"{name}.state")}


class _Reader:
    """Makes options of the sections of one site file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._secrets: dict[str, str] = {}
        self._known: Mapping[str, str] = os.environ

    def site(self, found: Mapping[Any, Any]) -> Site:
        sections = {"cameras", "server", "secrets", "events"}
        model_names, run_names = _names(HostOptions), _names(WatchOptions)
        if "secrets" in found:
            self._known = {**os.environ, **self._secrets_file(found["secrets"])}
        model, shared = dict[str, Any](), dict[str, Any]()
        for key, value in found.items():
            if key in sections:
                continue
            if str(key) not in {*model_names, *run_names, *_SHORT}:
                raise self._error((str(key),), f"unknown key{closest(str(key), [*sections, *model_names, *run_names])}")
            (model if key in model_names else shared)[key] = value
        cameras = self._mapping(found.get("cameras"), ("cameras",), "cameras by name")
        return Site(
            cameras=tuple(self._camera(str(name), given, shared) for name, given in cameras.items()),
            model=self._options(HostOptions, model, ()),
            server=self._options(ServerOptions, self._mapping(found.get("server"), ("server",), "keys"), ("server",)),
            events=self._path.parent / str(found["events"]) if found.get("events") else None,
            secrets=dict(self._secrets),
        )

    def _camera(self, name: str, given: Any, shared: Mapping[str, Any]) -> CameraSite:
        place = ("cameras", name)
        own = self._mapping(given, place, "the keys of a camera")
        folder = self._path.parent / str(shared["state"]) if "state" in shared else None
        values = self._flat(shared, ()) | _state(folder, name) | self._flat(own, place)
        if isinstance(values.get("record"), str):
            values["record"] = self._path.parent / values["record"]
        return self._options(CameraSite, {"name": name} | values, place)

    def _flat(self, given: Mapping[Any, Any], place: tuple[str, ...]) -> dict[str, Any]:
        """Return the keys of a camera and those in its sections `detect`, `objects`, `record` and `zones`."""
        flat = dict[str, Any]()
        for key, value in given.items():
            if key == "detect":
                flat |= self._mapping(value, (*place, key), "options of detection")
            elif key == "objects":
                flat["classes"] = value.get("track") if isinstance(value, dict) else value
            elif key == "record":
                recorded = value if isinstance(value, dict) else {"folder": value}
                flat |= {_RECORD.get(str(name), str(name)): each for name, each in recorded.items()}
            elif key == "zones":
                flat[key] = self._zones(self._mapping(value, (*place, key), "zones by name"), (*place, key))
            else:
                flat[key] = value
        return flat

    def _zones(self, given: Mapping[Any, Any], place: tuple[str, ...]) -> tuple[Zone, ...]:
        """Return the zones of a camera; raises InputError for the first that is wrong."""
        zones = []
        for name, value in given.items():
            keys = self._mapping(value, (*place, str(name)), "the keys of a zone")
            try:
                zones.append(Zone.from_keys(str(name), keys))
            except InputError as error:
                raise self._error((*place, str(name)), str(error)) from None
        return tuple(zones)

    def _options(self, options: Callable[..., O], given: Mapping[Any, Any], place: tuple[str, ...]) -> O:
        """Return the options that the keys `given` state; raises InputError for the first that is wrong."""
        values = {str(key): self._revealed(value, (*place, str(key))) for key, value in given.items()}
        try:
            return options_from_keywords(options, values)
        except InputError as error:
            reason = str(error)
        needed: dict[str, Any] = {key: values[key] for key in ("name", "source") if key in values}
        for key, value in values.items():
            if _reason(options, needed) != reason and _reason(options, needed | {key: value}) == reason:
                raise self._error((*place, key), reason.replace("unknown keyword", "unknown key"))
        raise self._error(place, reason)

    def _mapping(self, value: Any, place: tuple[str, ...], what: str) -> Mapping[Any, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._error(place, f"expected {what}, found {shown(value)}")
        return value

    def _revealed(self, value: Any, place: tuple[str, ...]) -> Any:
        """Return `value` with its placeholders replaced, encoded for an address; raises InputError for unknown ones."""
        if not isinstance(value, str):
            return value

        def secret(match: re.Match[str]) -> str:
            name = match[1]
            if name not in self._known:
                raise self._error(place, f"expected {name} in the environment or the file of secrets, found nothing")
            self._secrets[name] = value = self._known[name]
            return quote(value, safe="") if place[-1] == "source" else value

        return _SECRET.sub(secret, value)

    def _secrets_file(self, name: Any) -> dict[str, str]:
        path = self._path.parent / str(name)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise self._error(("secrets",), f"{path} cannot be read: {getattr(error, 'strerror', error)}") from None
        pairs = [line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#")]
        return {key.strip().removeprefix("export "): value.strip().strip("\"'") for key, value in pairs}

    def _error(self, place: tuple[str, ...], reason: str) -> InputError:
        line = key_line(self._path, place)
        where = f", line {line}" if line else ""
        return InputError(f"{self._path}{where}: {'.'.join(place)}{': ' if place else ''}{reason}")


def _reason(options: Callable[..., object], values: Mapping[str, Any]) -> str | None:
    """Return why `values` cannot be options, None if they can."""
    try:
        options_from_keywords(options, values)
    except InputError as error:
        return str(error)
    return None


def _names(options: Any) -> list[str]:
    """Return all names of the options of a class."""
    found = list(option_fields(options))
    for each in option_fields(options).values():
        if each.option:
            found += [*each.option.aliases, *([each.option.flag] if each.option.flag else [])]
    return found
