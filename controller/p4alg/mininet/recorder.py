"""Records a lab of Mininet as one of ours, so that the commands of `p4alg lab` find it.

The namespaces of its hosts, which Mininet leaves nameless, get names. So `p4alg lab exec`, `show`,
`trace` and whatever else works on labs need not know who has built one.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from p4alg.config.errors import UserError
from p4alg.lab import plan, processes, runner, state
from p4alg.lab.names import controller_name
from p4alg.lab.state import Process, State

PYTHON_VARIABLE = "P4ALG_PYTHON"
_CHECKOUT = Path(__file__).resolve().parents[3] / ".venv" / "bin" / "python"


class Named(Protocol):
    """A node of Mininet, as far as it is recorded: its name, and the process of its shell."""

    name: str
    pid: int
    inNamespace: bool


def interpreter() -> str:
    """The Python that runs switches and controllers.

    That of `PYTHON_VARIABLE`, else this one if it has what p4alg needs, else that of the checkout.
    """
    told = os.environ.get(PYTHON_VARIABLE)
    if told:
        return told
    if importlib.util.find_spec("finsy") is not None:
        return sys.executable
    if _CHECKOUT.is_file():
        return str(_CHECKOUT)
    raise UserError(
        f"{sys.executable} lacks what p4alg needs: run 'make setup', or set {PYTHON_VARIABLE} "
        "to a Python that has p4alg"
    )


def check(target: str) -> None:
    """Raise `UserError` unless this process can build a lab, or is building one already."""
    runner.require(target)
    for program in ("mnexec", "setpriv"):
        if shutil.which(program) is None:
            package = {"mnexec": "mininet", "setpriv": "util-linux"}[program]
            raise UserError(f"'{program}' is not on PATH: install {package}")
    if _ours() is None:
        runner.refuse_second()


def begin(topology: str, target: str, folder: Path | None) -> None:
    """Record the lab of this process, unless it is recorded already."""
    if _ours() is not None:
        return
    runner.refuse_second()
    lab = State(topology, target, {}, builder=state.MININET, owner=_me())
    lab.folder = "" if folder is None else str(folder.resolve())
    state.save(state.directory(), lab)
    runner.logs_folder(lab).mkdir(parents=True, exist_ok=True)
    # For scripts that end without stopping their network.
    atexit.register(end)


def add_switch(switch: Named) -> None:
    """Record a switch, and name its namespace if it has one of its own."""
    lab = runner.current()
    if switch.inNamespace:
        _attach(switch)
        lab = runner.current()
    space = lab.hosts.pop(switch.name, plan.MACHINE)
    lab.hosts = {switch.name: space, **lab.hosts}
    state.save(state.directory(), lab)


def add_hosts(hosts: Iterable[Named], names: str) -> None:
    """Name the namespaces of hosts, and record them. `names` is what they get as /etc/hosts."""
    for host in hosts:
        if host.name not in runner.current().hosts:
            runner.name_hosts([_attach(host)], names)


def _attach(node: Named) -> str:
    """Record a node under the name that its namespace gets, which is returned."""
    lab = runner.current()
    space = plan.namespace(state.prefix(), node.name)
    if space in processes.existing():
        raise UserError(f"namespace {space} exists and is not this lab's: remove it first")
    lab.hosts[node.name] = space
    state.save(state.directory(), lab)
    processes.do(["ip", "netns", "attach", space, str(node.pid)])
    return space


def forget_switch(name: str) -> None:
    """End what belongs to a switch; the lab's record goes with its last one."""
    lab = _ours()
    if lab is None:
        return
    own = (name, controller_name(name))
    ended = [p for p in lab.processes if p.name in own or p.name.startswith(f"{name}-port")]
    processes.end(reversed(ended))
    lab.processes = [p for p in lab.processes if p not in ended]
    lab.switches.pop(name, None)
    space = lab.hosts.pop(name, plan.MACHINE)
    if space != plan.MACHINE:
        runner.forget_spaces([space])
    state.save(state.directory(), lab)
    if not lab.switches:
        end()


def end() -> None:
    """End all that runs in the lab of this process, and take the record away.

    The shells of hosts are left to Mininet, which ends them itself.
    """
    lab = _ours()
    if lab is None:
        return
    processes.end(lab.processes)
    spaces = processes.existing() & {*lab.hosts.values()} - {plan.MACHINE}
    inside = [p for space in spaces for p in processes.inhabitants(space)]
    processes.end(p for p in inside if not _is_shell(p.pid))
    with contextlib.suppress(UserError):
        runner.forget_spaces(spaces)
    shutil.rmtree(state.directory(), ignore_errors=True)


def _is_shell(pid: int) -> bool:
    """Whether a process is the shell of one of Mininet's nodes, which Mininet marks."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return any(word.startswith(b"mininet:") for word in words)
    return False


def _me() -> Process:
    return Process("mininet", os.getpid(), state.start_time(os.getpid()) or 0)


def _ours() -> State | None:
    """The lab that is recorded, if it is of this process."""
    lab = state.load(state.directory())
    return lab if lab is not None and lab.owner == _me() else None
