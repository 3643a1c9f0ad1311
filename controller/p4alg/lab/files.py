"""The files of a lab, as text: names of hosts, and its description for other tools. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from p4alg.lab.state import Served
from p4alg.lab.topology import Topology


def hosts_file(topology: Topology) -> str:
    """What every host has as ``/etc/hosts`` (hosts(5)): all hosts, and the published names."""
    lines = ["127.0.0.1 localhost"]
    lines += [f"{host.address.ip} {host.name}" for host in topology.hosts]
    lines += [f"{address} {name}" for name, address in topology.names]
    return "\n".join(lines) + "\n"


# Without it a host would ask the machine's name servers, which it cannot reach, and wait.
RESOLV_CONF = "# Names of the lab are in /etc/hosts; there is no other name server.\n"
"""What every host has as ``/etc/resolv.conf`` (resolv.conf(5))."""


def topology_json(topology: Topology, switches: Mapping[str, Served]) -> str:
    """The lab in the form of the P4 tutorials' ``topology.json``.

    A switch has the additional keys ``grpc`` and ``device_id``, where it serves P4Runtime.
    """
    hosts: dict[str, Any] = {}
    for host in topology.hosts:
        commands = [] if host.gateway is None else [f"route add default gw {host.gateway}"]
        commands += [f"ip route add {route.to} via {route.via}" for route in host.routes]
        described: dict[str, Any] = {"ip": str(host.address), "mac": host.mac}
        if host.vlan:
            described["vlan"] = host.vlan
        hosts[host.name] = {**described, "commands": commands}
    links = [[host.name, f"{host.switch}-p{host.port}"] for host in topology.hosts]
    links += [[f"{end.switch}-p{end.port}" for end in trunk.ends] for trunk in topology.trunks]
    described = {
        name: {"grpc": served.grpc, "device_id": served.device_id}
        for name, served in switches.items()
    }
    whole = {"hosts": hosts, "switches": described, "links": links}
    return json.dumps(whole, indent=2) + "\n"
