"""What a lab has made, kept in a directory so that a later command finds it again.

A process is identified by its pid and its start time, since a pid alone may
belong to someone else by now. Written before anything is made, so that `down`
knows of it whatever happens in between.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from p4alg.config.errors import UserError

DIRECTORY_VARIABLE = "P4ALG_LAB_STATE"
PREFIX_VARIABLE = "P4ALG_LAB_PREFIX"


def directory() -> Path:
    """Where the state of the lab is kept."""
    return Path(os.environ.get(DIRECTORY_VARIABLE) or "/run/p4alg/lab")


def prefix() -> str:
    """What the names of the lab's namespaces begin with."""
    return os.environ.get(PREFIX_VARIABLE) or "p4alg-"


@dataclass(frozen=True, slots=True)
class Process:
    """A process the lab started; `start` is in clock ticks since boot (proc(5), field 22)."""

    name: str
    pid: int
    start: int

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return start_time(self.pid) == self.start


@dataclass(slots=True)
class State:
    """The lab that is up, or was left behind."""

    topology: str
    target: str
    hosts: dict[str, str]
    """Namespace of each host by its name, and of the switch."""
    processes: list[Process] = field(default_factory=list)


def start_time(pid: int) -> int | None:
    """Start time of a running process; None if there is none (a zombie is none)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def load(folder: Path) -> State | None:
    """The recorded state; None if no lab is up."""
    path = folder / "state.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        processes = [Process(p["name"], int(p["pid"]), int(p["start"])) for p in raw["processes"]]
        hosts = {str(k): str(v) for k, v in raw["hosts"].items()}
        return State(str(raw["topology"]), str(raw["target"]), hosts, processes)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise UserError(
            f"cannot read {path}: {exc.strerror}; correct that, or set {DIRECTORY_VARIABLE}"
        ) from exc
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path} is damaged: remove it and the namespaces by hand") from None


def save(folder: Path, state: State) -> None:
    """Record the state, in one step."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / "state.json.part"
        part.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
        part.replace(folder / "state.json")
    except OSError as exc:
        raise UserError(f"cannot write {folder}: {exc.strerror}") from exc
