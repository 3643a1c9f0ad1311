"""Records what belongs to a lab in a file, so that later commands find it.

A process is recorded by its pid and its start time, because the pid alone may have been given to
another process since. The file is written before anything is made. So `down` knows what to remove
even if `up` was killed in between.
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
    """The directory that keeps the state of the lab."""
    return Path(os.environ.get(DIRECTORY_VARIABLE) or "/run/p4alg/lab")


def prefix() -> str:
    """The prefix of the names of the lab's namespaces."""
    return os.environ.get(PREFIX_VARIABLE) or "p4alg-"


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the lab. `start` is its start time in clock ticks since boot (proc(5))."""

    name: str
    pid: int
    start: int

    def alive(self) -> bool:
        """Whether this process still runs. Another one with the same pid does not count."""
        return start_time(self.pid) == self.start


@dataclass(slots=True)
class State:
    """The state of a lab that is up, or that a crash has left behind."""

    topology: str
    target: str
    hosts: dict[str, str]
    """The namespaces of the switch and of each host, by name."""
    processes: list[Process] = field(default_factory=list)


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
    """Write the state. The file is replaced in one step."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / "state.json.part"
        part.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
        part.replace(folder / "state.json")
    except OSError as exc:
        raise UserError(f"cannot write {folder}: {exc.strerror}") from exc
