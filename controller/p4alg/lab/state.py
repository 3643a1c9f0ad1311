"""Records what belongs to a lab in a file, so that later commands find it.

A process is recorded by its pid and its start time, because the pid alone may have been given to
another process since. The file is written before anything is made. So `down` knows what to remove
even if `up` was killed in between.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from p4alg.config.errors import UsageError, UserError

DIRECTORY_VARIABLE = "P4ALG_LAB_STATE"
PREFIX_VARIABLE = "P4ALG_LAB_PREFIX"
NAME_VARIABLE = "P4ALG_LAB"
NAMESPACES = "namespaces"
MININET = "mininet"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,11}")


def directory() -> Path:
    """The directory that keeps the state of the lab."""
    named = f"lab-{_name()}" if _name() else "lab"
    return Path(os.environ.get(DIRECTORY_VARIABLE) or f"/run/p4alg/{named}")


def prefix() -> str:
    """The prefix of the names of the lab's namespaces."""
    named = f"p4alg-{_name()}-" if _name() else "p4alg-"
    return os.environ.get(PREFIX_VARIABLE) or named


def is_named() -> bool:
    """Whether this is not the machine's one lab, but one of several side by side."""
    return bool(_name())


def _name() -> str:
    """The name of the lab, which tells it from others beside it; empty for the one without."""
    name = os.environ.get(NAME_VARIABLE, "")
    if name and not _NAME.fullmatch(name):
        raise UsageError(f"{NAME_VARIABLE}={name!r}: use up to 12 of a-z, 0-9 and '-'")
    return name


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the lab. `start` is its start time in clock ticks since boot (proc(5))."""

    name: str
    pid: int
    start: int
    host: str = ""
    """The host or switch that it runs in; empty if that is not known."""
    command: tuple[str, ...] = ()
    """What was run there, by which it can be started again."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What its environment has beside that of the command which builds the lab."""

    def alive(self) -> bool:
        """Whether this process still runs. Another one with the same pid does not count."""
        return start_time(self.pid) == self.start


@dataclass(frozen=True, slots=True)
class Served:
    """Where a switch of the lab serves P4Runtime."""

    grpc: str
    device_id: int


@dataclass(slots=True)
class State:
    """The state of a lab that is up, or that a crash has left behind."""

    topology: str
    target: str
    hosts: dict[str, str]
    """The namespaces of the switches and of each host, by name; empty: that of the machine."""
    processes: list[Process] = field(default_factory=list)
    switches: dict[str, Served] = field(default_factory=dict)
    builder: str = NAMESPACES
    """Who made the hosts: this package's own commands, or Mininet."""
    owner: Process | None = None
    """The process of Mininet, whose end is the end of the lab."""
    folder: str = ""
    """Where logs and captures are, if not with this state: they stay there."""


def start_time(pid: int) -> int | None:
    """The start time of a running process; None if there is none. A zombie does not count."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def load(folder: Path) -> State | None:
    """Read the recorded state; None if no lab is up. Raises `UserError` if it is damaged."""
    path = folder / "state.json"
    _refuse_strangers(folder)
    try:
        return _decode(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise UserError(
            f"cannot read {path}: {exc.strerror}; correct that, or set {DIRECTORY_VARIABLE}"
        ) from exc
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path} is damaged: remove it and the namespaces by hand") from None


def _refuse_strangers(folder: Path) -> None:
    """Raise `UserError` if a user made the folder who is neither root nor we.

    What the state names is run and ended by root, and so has to come from root.
    """
    try:
        owners = {folder.lstat().st_uid, folder.stat().st_uid}
    except OSError:
        return
    others = owners - {0, os.geteuid()}
    if others:
        raise UserError(
            f"{folder} belongs to user {others.pop()}, who could give orders by it: "
            f"remove it, or set {DIRECTORY_VARIABLE}"
        )


def _decode(raw: Any) -> State:
    owner = raw.get("owner")
    return State(
        topology=str(raw["topology"]),
        target=str(raw["target"]),
        hosts={str(k): str(v) for k, v in raw["hosts"].items()},
        processes=[_process(entry) for entry in raw["processes"]],
        switches={
            str(k): Served(str(v["grpc"]), int(v["device_id"]))
            for k, v in raw.get("switches", {}).items()
        },
        builder=str(raw.get("builder", NAMESPACES)),
        owner=None if owner is None else _process(owner),
        folder=str(raw.get("folder", "")),
    )


def _process(raw: Any) -> Process:
    return Process(
        name=str(raw["name"]),
        pid=int(raw["pid"]),
        start=int(raw["start"]),
        host=str(raw.get("host", "")),
        command=tuple(map(str, raw.get("command", ()))),
        variables={str(k): str(v) for k, v in raw.get("variables", {}).items()},
    )


def save(folder: Path, state: State) -> None:
    """Write the state. The file is replaced in one step."""
    _refuse_strangers(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / "state.json.part"
        part.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
        part.replace(folder / "state.json")
    except OSError as exc:
        raise UserError(f"cannot write {folder}: {exc.strerror}") from exc
