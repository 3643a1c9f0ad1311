"""Makes the commands that build a lab. Pure: it returns argument vectors and runs nothing."""

from __future__ import annotations

from pathlib import Path

from p4alg.lab.topology import SWITCH, Host, Topology
from p4alg.p4constants import CPU_PORT

GRPC = "127.0.0.1:9559"
"""Where the switch serves P4Runtime, inside its own namespace."""
DEVICE_ID = 1
TARGETS = ("embedded", "bmv2")

Command = list[str]

# With checksum offload the switch would get packets whose checksums are not computed yet, and
# with segmentation offload packets that are larger than any link can carry.
_OFFLOADS = ("tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off")


def namespace(prefix: str, name: str) -> str:
    """The network namespace of a host, or of the switch (`SWITCH`)."""
    return prefix + name


def namespaces(prefix: str, topology: Topology) -> list[str]:
    """All namespaces of a lab, that of the switch first."""
    return [namespace(prefix, n) for n in (SWITCH, *(h.name for h in topology.hosts))]


def inside(space: str, *command: str) -> Command:
    """The command that runs `command` in a namespace."""
    return ["ip", "netns", "exec", space, *command]


def port_interface(host: Host) -> str:
    """The switch's interface to a host."""
    return f"port{host.port}"


def build(prefix: str, topology: Topology) -> list[Command]:
    """The commands that make namespaces and links, in order. Each of them must succeed."""
    commands: list[Command] = []
    for space in namespaces(prefix, topology):
        commands.append(["ip", "netns", "add", space])
        # IPv6 is switched off before there is an interface. Otherwise the interface would
        # send router solicitations, which are not part of any test.
        off = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ ! -e $f ] || echo 1 >$f; done"
        commands.append(inside(space, "sh", "-c", off))
        commands.append(["ip", "-n", space, "link", "set", "lo", "up"])
    switch = namespace(prefix, SWITCH)
    for host in topology.hosts:
        commands += _wire(switch, namespace(prefix, host.name), host)
    return commands


def _wire(switch: str, space: str, host: Host) -> list[Command]:
    port = port_interface(host)
    mac = f"02:00:00:00:{host.port >> 8:02x}:{host.port & 255:02x}"
    # Both ends are made inside their namespaces. So nothing is left elsewhere after a crash.
    end = ["peer", "name", "eth0", "address", mac, "netns", space]
    commands = [
        ["ip", "link", "add", port, "netns", switch, "type", "veth", *end],
        inside(switch, "ethtool", "-K", port, *_OFFLOADS),
        inside(space, "ethtool", "-K", "eth0", *_OFFLOADS),
        ["ip", "-n", switch, "link", "set", port, "up"],
        ["ip", "-n", space, "addr", "add", str(host.address), "dev", "eth0"],
        ["ip", "-n", space, "link", "set", "eth0", "up"],
    ]
    if host.gateway is not None:
        commands.append(["ip", "-n", space, "route", "add", "default", "via", str(host.gateway)])
    for route in host.routes:
        commands.append(["ip", "-n", space, "route", "add", str(route.to), "via", str(route.via)])
    return commands


def switch_command(target: str, topology: Topology, python: str) -> Command:
    """The command that runs the switch. `python` is the interpreter for the embedded one."""
    ports: Command = []
    for host in topology.hosts:
        ports += ["-i", f"{host.port}@{port_interface(host)}"]
    device, cpu = str(DEVICE_ID), str(CPU_PORT)
    if target == "embedded":
        served = ["--grpc", GRPC, "--device-id", device, "--cpu-port", cpu]
        return [python, "-m", "p4softswitch", *ports, *served]
    return [
        *("simple_switch_grpc", "--no-p4", "--device-id", device, *ports),
        *("--log-console", "-L", "warn", "--", "--grpc-server-addr", GRPC, "--cpu-port", cpu),
    ]


def controller_command(config: Path, python: str) -> Command:
    """The command that runs the controller. It belongs into the namespace of the switch."""
    return [python, "-m", "p4alg", "run", "-c", str(config)]
