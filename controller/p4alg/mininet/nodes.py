"""Nodes for Mininet: hosts as our topologies describe them, switches, and the controller."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterable
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from mininet.node import Controller, Host, Switch

from p4alg.config.errors import UserError
from p4alg.lab import files, fit, plan, runner, services, state, topology
from p4alg.lab.names import controller_name
from p4alg.lab.services import Options
from p4alg.lab.topology import Topology
from p4alg.mininet import recorder

_DEAD_WITH_US = ["setpriv", "--pdeathsig", "TERM", "--"]


class LabHost(Host):
    """A host of a topology: its VLAN, routes and names, and no checksum offload."""

    def config(
        self, described: topology.Host | None = None, names: str = "", **params: Any
    ) -> dict[str, Any]:
        """Configure it. `described` is the host, `names` the text of its /etc/hosts."""
        for interface in self.intfNames():
            # Without this a switch in user space sees checksums that are not computed yet.
            self.cmd("ethtool", "-K", interface, *plan.OFFLOADS)
        self.cmd("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
        if described is not None and described.vlan:
            self._join_vlan(described)
        result: dict[str, Any] = super().config(**params)
        for route in () if described is None else described.routes:
            self._must("ip", "route", "add", str(route.to), "via", str(route.via))
        if names:
            self._replace("/etc/hosts", names)
            self._replace("/etc/resolv.conf", files.RESOLV_CONF)
        return result

    def terminate(self) -> None:
        """End the host, and what tags its frames."""
        tagger = getattr(self, "_tagger", None)
        if tagger is not None:
            tagger.terminate()
            tagger.wait()
        super().terminate()

    def _join_vlan(self, described: topology.Host) -> None:
        """Make its VLAN interface, which Mininet then takes for the host's interface."""
        made = self.pexec("ip", *plan.kernel_vlan(described))
        if made[2] != 0:
            for words in plan.own_vlan(described):
                self._must("ip", *words)
            command = plan.tagger_command(described, recorder.interpreter())
            self._tagger = self.popen([*_DEAD_WITH_US, *command], stdin=subprocess.DEVNULL)
        interface = self.defaultIntf()
        interface.name = described.interface
        self.nameToIntf[interface.name] = interface
        self._must("ip", "link", "set", interface.name, "up")

    def _replace(self, path: str, text: str) -> None:
        """Put another file in the place of one, for this host only."""
        # The mount is the host's own and keeps the file, which needs no name any more then.
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.chmod(file.name, 0o644)
            self._must("mount", "--bind", file.name, path)

    def _must(self, *command: str) -> None:
        out, err, status = self.pexec(*command)
        if status != 0:
            why = ((err or out).strip().splitlines() or [f"exit status {status}"])[-1]
            raise UserError(f"{self.name}: '{shlex.join(command)}' failed: {why}")


class _P4Switch(Switch):
    """A P4Runtime switch that starts without a program, which its controller pushes.

    It is in the namespace of the machine, where any controller reaches it; in a named lab
    (``P4ALG_LAB``) or with ``inNamespace=True`` it has one of its own, and so its interfaces may
    have the names of another's. Its ports are those of its Mininet interfaces.
    """

    target = ""

    def __init__(
        self,
        name: str,
        config: str | Path | None = None,
        grpc: str | None = None,
        device_id: int | None = None,
        log_level: str = "warning",
        folder: str | Path | None = None,
        pcap: bool | str | Path = False,
        messages: bool = False,
        servers: bool = True,
        lab: Topology | None = None,
        **params: Any,
    ) -> None:
        """Describe the switch; it is started with the network.

        `config` is the configuration for a `P4AlgController`. `grpc` is HOST:PORT or unix:/PATH,
        by default a socket in the lab's folder; `device_id` that of P4Runtime, which by default
        counts up from 1. `folder` gets logs and keeps them. `pcap` captures each port, in that
        folder or in one of its own. `messages` records P4Runtime messages. `lab` is the topology
        that the switch is of; `servers` says whether those that it has in hosts at this switch
        are started.
        """
        recorder.check(self.target)
        number = int(params.pop("number", 0)) or _next_number()
        # Mininet wants a datapath id, and derives one of names such as s1 only.
        params.setdefault("dpid", f"{number:x}")
        params.setdefault("inNamespace", state.is_named())
        super().__init__(name, **params)
        if self.inNamespace:
            self.cmd("ip link set lo up")
        self.configuration = None if config is None else Path(config)
        self.grpc = grpc or plan.served(state.directory(), name)
        self.device_id = int(device_id or number)
        self.lab = lab
        self.options = Options(
            folder=None if folder is None else Path(folder),
            # `mn` makes a number of what looks like one.
            pcap=bool(pcap) if isinstance(pcap, int) else Path(pcap),
            messages=bool(messages),
            servers=bool(servers),
            log_level=log_level,
        )

    def start(self, controllers: Iterable[Controller]) -> None:
        """Start the switch, and on it each `P4AlgController` of `controllers`."""
        lab = self.lab
        name = "mininet" if lab is None else lab.name
        recorder.begin(name, self.target, self.options.folder)
        recorder.add_switch(self)
        hosts = self._hosts()
        names = _hosts_file(hosts) if lab is None else files.hosts_file(lab)
        recorder.add_hosts(hosts, names)
        ports = {p: i.name for p, i in self.intfs.items() if i.name != "lo"}
        for interface in ports.values():
            self.cmd("ethtool", "-K", interface, *plan.OFFLOADS)
            self.cmd("sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=1")
        thrift = 0
        if self.target == "bmv2" and services.has_thrift():
            thrift = 9089 + self.device_id
        level = self.options.log_level
        which = plan.Switch(self.name, self.target, ports, self.grpc, self.device_id, level, thrift)
        services.start_switch(which, recorder.interpreter(), self.options, with_us=True)
        for controller in controllers:
            if isinstance(controller, P4AlgController):
                controller.serve(self)
        if lab is not None:
            runner.describe(lab)
            own = [h for h in lab.hosts if h.switch == self.name and self.options.servers]
            services.start_servers(own, lab.file, with_us=True)

    def stop(self, deleteIntfs: bool = True) -> None:
        """End the switch, its controller and its captures."""
        recorder.forget_switch(self.name)
        super().stop(deleteIntfs)

    def _hosts(self) -> list[Any]:
        """The hosts at its ports."""
        found: list[Any] = []
        for interface in self.intfs.values():
            link = interface.link
            # A link that was removed has no ends any more.
            ends = (link.intf1, link.intf2) if link is not None else ()
            nodes = [end.node for end in ends if end is not None]
            found += [n for n in nodes if n.inNamespace and not isinstance(n, Switch)]
        return found


class EmbeddedSwitch(_P4Switch):
    """The switch of this project, which runs the compiled P4 program in Python."""

    target = "embedded"


class Bmv2Switch(_P4Switch):
    """BMv2: ``simple_switch_grpc``."""

    target = "bmv2"


class P4AlgController(Controller):
    """The controller of p4alg: a process for each switch of ours that has this controller.

    Mininet starts controllers before switches, and this one needs its switch: it is started by
    `EmbeddedSwitch.start` and `Bmv2Switch.start`.
    """

    def __init__(self, name: str, config: str | Path | None = None, **params: Any) -> None:
        """Describe it. `config` is for switches that have none of their own."""
        super().__init__(name, **params)
        self.configuration = None if config is None else Path(config)
        self._switches: list[str] = []

    def checkListening(self) -> None:
        """Nothing to check: it listens on no port."""

    def start(self) -> None:
        """Wait for the switches."""

    def serve(self, switch: _P4Switch) -> None:
        """Start a process for a switch that runs, and wait until it serves."""
        config = switch.configuration or self.configuration
        if config is None:
            raise UserError(
                f"'{switch.name}' has no configuration: use a topology of p4alg, "
                "or give the controller config=FILE"
            )
        if switch.lab is not None:
            fit.check(switch.lab, {switch.name: config})
        services.start_controller(
            config,
            recorder.interpreter(),
            switch.name,
            switch.options,
            with_us=True,
        )
        self._switches.append(switch.name)

    def stop(self, *args: Any, **kwargs: Any) -> None:
        """End its processes; the switches go on forwarding."""
        for switch in self._switches:
            # The record is gone if somebody else has removed the lab.
            with contextlib.suppress(UserError):
                runner.stop(controller_name(switch))
        self._switches = []
        # Not the end of `Controller`, which is that of a job of its shell.
        super(Controller, self).stop(*args, **kwargs)


_numbers: list[int] = []


def _next_number() -> int:
    _numbers.append(len(_numbers) + 1)
    return _numbers[-1]


def _hosts_file(hosts: Iterable[Any]) -> str:
    described = tuple(
        topology.Host(host.name, port, IPv4Interface(host.IP()), None, ())
        for port, host in enumerate(hosts, 1)
        if host.IP()
    )
    return files.hosts_file(Topology("mininet", described))
