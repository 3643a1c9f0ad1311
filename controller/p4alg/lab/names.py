"""What the switches and controllers of a lab are called, and where the controllers listen.

Every command that talks to a controller looks here, so that this needs little of a lab.
"""

from __future__ import annotations

from pathlib import Path

from p4alg.config.errors import UsageError
from p4alg.lab import state

SWITCH = "switch"
"""The name of the switch of a lab that names none. No host may have it."""


def controller_name(switch: str) -> str:
    """The name of the process that controls a switch."""
    return "controller" if switch == SWITCH else f"{switch}-controller"


CONTROLLER = controller_name(SWITCH)
"""The name of the controller of a lab with one switch."""


def socket_name(controller: str) -> str:
    """The file name of the control socket of a controller."""
    return "control.sock" if controller == CONTROLLER else f"{controller}.sock"


def control_sockets() -> dict[str, Path]:
    """The control sockets of the controllers in the lab that is up, by the names of switches."""
    lab = state.load(state.directory())
    if lab is None:
        return {}
    running = {process.name for process in lab.processes}
    names = {controller_name(name): name for name in (*lab.switches, SWITCH)}
    folder = state.directory()
    return {name: folder / socket_name(own) for own, name in names.items() if own in running}


def control_socket() -> Path | None:
    """The control socket of the lab's controller; None if no lab with a controller is up.

    Raises `UsageError` if there are several.
    """
    sockets = control_sockets()
    if len(sockets) > 1:
        many = " or ".join(str(path) for path in sockets.values())
        raise UsageError(f"the lab has several controllers: give --socket {many}")
    return next(iter(sockets.values()), None)
