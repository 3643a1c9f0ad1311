"""Starts and ends processes in the hosts of the lab that is up, and reads their logs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from p4alg.config.errors import UserError
from p4alg.lab import plan, processes, state
from p4alg.lab.processes import POLL
from p4alg.lab.state import Process, State

START_SECONDS = 20.0
"""Seconds that a switch may take until it serves P4Runtime, or a server until it listens."""
_WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")
"""What lets a command end with the process that has started it."""


def current() -> State:
    """The lab that is up; `UserError` if none is."""
    lab = state.load(state.directory())
    if lab is None:
        raise UserError("no lab is up: run 'p4alg lab up'")
    return lab


def logs_folder(lab: State) -> Path:
    """Where a lab has its logs and captures."""
    return Path(lab.folder) if lab.folder else state.directory()


def log_file(lab: State, name: str) -> Path:
    """Where a process of the lab writes to."""
    return logs_folder(lab) / f"{name}.log"


def start(
    name: str,
    host: str,
    command: list[str],
    environment: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
    with_us: bool = False,
) -> Process:
    """Start a command in a host of the lab; it runs until the lab is removed.

    Its output goes to the logs of the lab, and it works in `folder`. Raises `UserError` if it ends
    at once.
    """
    lab = current()
    whole = plan.inside(lab.hosts[host], *command)
    with log_file(lab, name).open("wb") as log:
        try:
            child = subprocess.Popen(
                [*_WITH_US, *whole] if with_us else whole,
                stdin=subprocess.DEVNULL,
                env=environment,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(f"cannot run {whole[0]}: {error.strerror}") from None
    begun = state.start_time(child.pid)
    if begun is None:
        raise UserError(f"the {name} ended at once: {last_line(name)}")
    own = {k: v for k, v in (environment or {}).items() if os.environ.get(k) != v}
    process = Process(name, child.pid, begun, host, tuple(command), own)
    lab.processes = [p for p in lab.processes if p.name != name or p.alive()]
    lab.processes.append(process)
    state.save(state.directory(), lab)
    return process


def stop(name: str) -> None:
    """End the process `name` of the lab, and wait until it has ended."""
    processes.end([process for process in current().processes if process.name == name])


def logs() -> dict[str, str]:
    """The output of each process of the lab so far, by the name of the process."""
    lab = current()
    texts: dict[str, str] = {}
    for process in lab.processes:
        path = log_file(lab, process.name)
        try:
            texts[process.name] = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            texts[process.name] = f"(cannot read {path}: {error.strerror})"
    return texts


def last_line(name: str) -> str:
    """The last line that a process of the lab has written."""
    text = log_file(current(), name).read_text(encoding="utf-8", errors="replace")
    return (text.strip().splitlines() or ["it wrote nothing"])[-1]


def waiting() -> Iterator[None]:
    """Rounds of waiting for something that is to start; ends when it takes too long."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        yield
        time.sleep(POLL)
