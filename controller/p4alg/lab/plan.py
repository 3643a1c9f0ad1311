"""Makes the commands that build a lab. Pure: it returns argument vectors and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from p4alg.lab.topology import Host, Topology
from p4alg.p4constants import CPU_PORT

DEVICE_ID = 1
TARGETS = ("embedded", "bmv2")
MACHINE = ""
"""In place of a namespace: that of the machine, where the switches of Mininet are."""

Command = list[str]

# With checksum offload the switch would get packets whose checksums are not computed yet, and
# with segmentation offload packets that are larger than any link can carry.
OFFLOADS = ("tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off")


@dataclass(frozen=True, slots=True)
class Switch:
    """How a switch is run: which ports on which interfaces, and where it serves P4Runtime."""

    name: str
    target: str
    ports: Mapping[int, str]
    grpc: str
    device_id: int = DEVICE_ID
    log_level: str = "warning"
    """As much as the switch is to log: ``debug``, ``info``, ``warning`` or ``error``."""
    thrift_port: int = 0
    """The port of BMv2's Thrift server; 0 where BMv2 is built without one."""
    workers: int = 0
    """Threads of the embedded switch that run packets; 0 where it chooses."""


def namespace(prefix: str, name: str) -> str:
    """The network namespace of a host or a switch."""
    return prefix + name


def namespaces(prefix: str, topology: Topology) -> list[str]:
    """All namespaces of a lab, those of switches first."""
    names = (*topology.switches, *(h.name for h in topology.hosts))
    return [namespace(prefix, name) for name in names]


def inside(space: str, *command: str) -> Command:
    """The command that runs `command` in a namespace, or in that of the machine."""
    return [*command] if space == MACHINE else ["ip", "netns", "exec", space, *command]


def port_interface(port: int) -> str:
    """The interface of a port, inside the namespace of its switch."""
    return f"port{port}"


def served(folder: Path, name: str) -> str:
    """Where a switch serves P4Runtime: a socket in the lab's folder, for its owner only."""
    return f"unix:{folder}/{name}.p4rt"


def switch(name: str, target: str, topology: Topology, folder: Path) -> Switch:
    """A switch of a lab of namespaces, whose state is in `folder`."""
    ports = {port: port_interface(port) for port in topology.ports(name)}
    return Switch(name, target, ports, served(folder, name))


def build(prefix: str, topology: Topology) -> list[Command]:
    """The commands that make namespaces and links, in order. Each of them must succeed.

    A host with a VLAN has no address yet: `tag` and then `address` give it one.
    """
    commands: list[Command] = []
    for space in namespaces(prefix, topology):
        commands.append(["ip", "netns", "add", space])
        # IPv6 is switched off before there is an interface. Otherwise the interface would
        # send router solicitations, which are not part of any test.
        off = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ ! -e $f ] || echo 1 >$f; done"
        commands.append(inside(space, "sh", "-c", off))
        commands.append(["ip", "-n", space, "link", "set", "lo", "up"])
    for host in topology.hosts:
        commands += _wire(namespace(prefix, host.switch), namespace(prefix, host.name), host)
        if not host.vlan:
            commands += address(prefix, host)
    for trunk in topology.trunks:
        (one, port), (other, far) = (
            (namespace(prefix, end.switch), port_interface(end.port)) for end in trunk.ends
        )
        peer = ["peer", "name", far, "netns", other]
        commands.append(["ip", "link", "add", port, "netns", one, "type", "veth", *peer])
        for space, interface in ((one, port), (other, far)):
            commands.append(inside(space, "ethtool", "-K", interface, *OFFLOADS))
            commands.append(["ip", "-n", space, "link", "set", interface, "up"])
    return commands


def _wire(switch: str, space: str, host: Host) -> list[Command]:
    port = port_interface(host.port)
    # Both ends are made inside their namespaces. So nothing is left elsewhere after a crash.
    end = ["peer", "name", "eth0", "address", host.mac, "netns", space]
    return [
        ["ip", "link", "add", port, "netns", switch, "type", "veth", *end],
        inside(switch, "ethtool", "-K", port, *OFFLOADS),
        inside(space, "ethtool", "-K", "eth0", *OFFLOADS),
        ["ip", "-n", switch, "link", "set", port, "up"],
        ["ip", "-n", space, "link", "set", "eth0", "up"],
    ]


def address(prefix: str, host: Host) -> list[Command]:
    """The commands that give a host its address and its routes."""
    ip = ["ip", "-n", namespace(prefix, host.name)]
    return [[*ip, *words] for words in addressing(host)]


def addressing(host: Host) -> list[Command]:
    """What `ip` has to be told in a host: its address, and its routes."""
    words = [
        ["addr", "add", str(host.address), "dev", host.interface],
        ["link", "set", host.interface, "up"],
    ]
    if host.gateway is not None:
        words.append(["route", "add", "default", "via", str(host.gateway)])
    for route in host.routes:
        words.append(["route", "add", str(route.to), "via", str(route.via)])
    return words


def kernel_vlan(host: Host) -> Command:
    """What `ip` has to be told in a host to make its VLAN interface, where the kernel has VLANs."""
    vlan = ["type", "vlan", "id", str(host.vlan)]
    return ["link", "add", "link", "eth0", "name", host.interface, *vlan]


def own_vlan(host: Host) -> list[Command]:
    """The same where it has none: an interface whose frames `tagger_command` tags."""
    return [
        ["tuntap", "add", "dev", host.interface, "mode", "tap"],
        ["link", "set", host.interface, "address", host.mac],
    ]


def tagger_command(host: Host, python: str) -> Command:
    """The command that tags the frames of a host's VLAN interface. It belongs into the host."""
    return [python, "-m", "p4alg.lab.tagger", "eth0", str(host.vlan), host.interface]


def switch_command(switch: Switch, python: str, without: str = "") -> Command:
    """The command that runs the switch.

    `python` is the interpreter for the embedded one, which does `without` some parts of P4Runtime.
    """
    ports: Command = []
    for port, interface in switch.ports.items():
        ports += ["-i", f"{port}@{interface}"]
    device, cpu = str(switch.device_id), str(CPU_PORT)
    if switch.target == "embedded":
        served = ["--grpc", switch.grpc, "--device-id", device, "--cpu-port", cpu]
        served += ["--workers", str(switch.workers)] if switch.workers else []
        served += ["--without", without] if without else []
        return [python, "-m", "p4softswitch", *ports, *served, "--log-level", switch.log_level]
    level = {"warning": "warn"}.get(switch.log_level, switch.log_level)
    thrift = ["--thrift-port", str(switch.thrift_port)] if switch.thrift_port else []
    return [
        # It makes a socket that all may use, unless its umask forbids that.
        *("sh", "-c", 'umask 177; exec "$@"', "sh"),
        *("simple_switch_grpc", "--no-p4", "--device-id", device, *ports),
        *("--log-console", "-L", level, *thrift, "--"),
        *("--grpc-server-addr", switch.grpc, "--cpu-port", cpu),
    ]


def capture_command(interface: str, file: Path) -> Command:
    """The command that records what crosses a port until it is ended, each packet at once."""
    return ["tcpdump", "-i", interface, "-w", str(file), "-U", "-Z", "root", "--immediate-mode"]


def controller_command(config: Path, python: str, *more: str) -> Command:
    """The command that runs the controller. It belongs where its switch is."""
    return [python, "-m", "p4alg", "run", "-c", str(config), *more]
