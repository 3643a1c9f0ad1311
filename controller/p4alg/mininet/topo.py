"""Topologies of ours as Mininet builds them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mininet.topo import Topo

from p4alg.lab import files, topology
from p4alg.lab.processes import free_ports
from p4alg.lab.topology import Topology
from p4alg.mininet.nodes import LabHost


class LabTopo(Topo):
    """A topology: a shipped one by its name, or a file by its path.

    Each switch gets the configuration beside the file, for a `P4AlgController`. Interfaces of
    hosts are called ``eth0``, those of switches ``SWITCH-ethPORT``.
    """

    def build(
        self,
        lab: str | Path | Topology = topology.DEFAULT,
        configs: Mapping[str, Path] | None = None,
        grpc_port: int | None = None,
        **switch: Any,
    ) -> None:
        """Add its nodes and links. `switch` are parameters of all switches.

        `configs` are other configurations, by switch. Switches serve P4Runtime on Unix sockets,
        or with `grpc_port` the first on this port of 127.0.0.1 (0: one that is free), the next
        ones on those behind it.
        """
        if not isinstance(lab, Topology):
            lab = topology.read(topology.find(str(lab)))
        self.described = lab
        first = 0
        if grpc_port is not None:
            first = int(grpc_port) or free_ports(len(lab.switches))
        for number, name in enumerate(lab.switches, 1):
            config = (configs or {}).get(name) or lab.config(name)
            address = f"127.0.0.1:{first + number - 1}" if first else None
            own = {"lab": lab, "config": config, "grpc": address, "number": number}
            self.addSwitch(name, **own, **switch)
        names = files.hosts_file(lab)
        for host in lab.hosts:
            route = None if host.gateway is None else f"via {host.gateway}"
            self.addHost(
                host.name,
                cls=LabHost,
                ip=str(host.address),
                mac=host.mac,
                defaultRoute=route,
                described=host,
                names=names,
            )
            self.addLink(host.name, host.switch, port2=host.port, intfName1="eth0")
        for trunk in lab.trunks:
            one, other = trunk.ends
            self.addLink(one.switch, other.switch, port1=one.port, port2=other.port)
