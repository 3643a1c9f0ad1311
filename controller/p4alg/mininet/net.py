"""A network of Mininet that is one of our labs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mininet.link import Link
from mininet.net import Mininet

from p4alg.config.errors import UserError
from p4alg.lab import fit, state, topology
from p4alg.lab.processes import POLL
from p4alg.lab.topology import Topology
from p4alg.mininet import recorder
from p4alg.mininet.nodes import Bmv2Switch, EmbeddedSwitch, P4AlgController
from p4alg.mininet.topo import LabTopo

_GONE_SECONDS = 2.0
"""Seconds that the kernel may take to remove interfaces when their namespaces have ended."""
_SWITCHES = {"embedded": EmbeddedSwitch, "bmv2": Bmv2Switch}


class LabNet(Mininet):
    """A topology of ours in Mininet."""

    def __init__(
        self,
        lab: str | Path | Topology = topology.DEFAULT,
        target: str = "embedded",
        configs: Mapping[str, Path] | None = None,
        controller: bool = True,
        link: Callable[..., Link] = Link,
        grpc_port: int | None = None,
        **switch: Any,
    ) -> None:
        """Build it. `lab` is a name or a file, `target` is ``embedded`` or ``bmv2``.

        `configs` are other configurations than those beside the topology, by switch. With
        `controller` False, the switches are left to a controller of yours. `link` is for instance
        a `shaped` one. `switch` are parameters of `EmbeddedSwitch`. Raises `UserError`.
        """
        recorder.check(target)
        if not isinstance(lab, Topology):
            lab = topology.read(topology.find(str(lab)))
        used = {n: p for n in lab.switches if (p := (configs or {}).get(n) or lab.config(n))}
        if controller:
            fit.check(lab, used)
        if not switch.setdefault("inNamespace", state.is_named()):
            _refuse_interfaces(lab)
        topo = LabTopo(lab, configs=configs, grpc_port=grpc_port, **switch)
        has_controller = controller and bool(used)
        try:
            super().__init__(
                topo=topo,
                switch=_SWITCHES[target],
                controller=P4AlgController if has_controller else None,
                link=link,
                build=True,
            )
        except UserError:
            self.stop()
            raise
        except Exception as error:
            self.stop()
            raise UserError(f"Mininet cannot build it: {_line(error)}") from error

    def start(self) -> None:
        """Start switches and controllers; if one fails, all is stopped and `UserError` raised."""
        try:
            super().start()
        except BaseException:
            self.stop()
            raise

    def p4alg(self, *command: str) -> str:
        """What a command of p4alg prints, such as ``show sessions``; errors included."""
        done = subprocess.run(
            [recorder.interpreter(), "-m", "p4alg", *command],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.stdout + done.stderr


@contextmanager
def running_lab(*args: Any, **kwargs: Any) -> Iterator[LabNet]:
    """For scripts: a `LabNet` of these arguments that runs, and is stopped behind the block.

    What a user can put right ends the script, with one line on stderr and exit status 1 or 2.
    """
    try:
        net = LabNet(*args, **kwargs)
        net.start()
    except UserError as error:
        print(f"p4alg: {_line(error)}", file=sys.stderr)
        raise SystemExit(error.status) from None
    try:
        yield net
    finally:
        net.stop()


def _refuse_interfaces(lab: Topology) -> None:
    names = [f"{switch}-eth{port}" for switch in lab.switches for port in lab.ports(switch)]
    # The kernel takes its time to remove those of a lab that has just been ended.
    until = time.monotonic() + _GONE_SECONDS
    while taken := [name for name in names if os.path.exists(f"/sys/class/net/{name}")]:
        if time.monotonic() > until:
            raise UserError(
                f"interface {taken[0]} exists: end the Mininet that has it, "
                f"or remove what a crash left by 'ip link del {taken[0]}'"
            )
        time.sleep(POLL)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
