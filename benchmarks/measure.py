"""What is measured: each figure by a function, in a lab that is up."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netfilter
import ovs
import sipload
from p4alg.config.errors import UserError
from p4alg.daemon.client import Client
from p4alg.lab import names, plan, runner, topology

HERE = Path(__file__).resolve().parent
KERNEL = "netfilter"
"""The target that is the kernel's own NAT."""
OVS = "ovs"
"""The target that is Open vSwitch's datapath in userspace."""
INCUMBENTS = {KERNEL: netfilter.up, OVS: ovs.up}
"""Targets without a controller, and what builds their labs."""
WORKERS = {"embedded-1w": 1, "embedded-2w": 2}
"""Targets that are the embedded switch with so many workers, on which less is measured."""
OF_WORKERS = ("tcp", "packets", "new-flows")
"""What is measured on those."""
SERVER = "198.51.100.11"
CALL_RATES = (50, 100, 150, 200, 300)
"""Calls a second that are tried, each for three seconds, until one fails."""
TCP_ROLES = ("tcp-sink", "ftp-server", "pptp-server")
COUNT_PORT = 5004
_FLOW_SECONDS = 0.5
"""So long that the standard arrays are not full of new flows, on the fastest target."""
HELD_FLOWS = (1_000, 50_000, 1_000_000)
_HELD_RATE, _HELD_SECONDS = 15_000, 20.0
_BUSY_RATE = 10_000
_BUSY_SECONDS = 6.0
# A thousand calls of one host have more pinholes than a host usually has, and a flood of
# flows has more of them a second.
_MORE = "limits: {pinholes_per_subscriber: 8192, flows_per_second: 1000000}\n"
Values = dict[str, float]


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout of the project, set up: its switch and its controller are measured."""

    folder: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / ".venv" / "bin" / "python")

    @property
    def config(self) -> Path:
        """Its configuration for the lab."""
        return self.folder / "topologies" / "nat.config.yaml"

    def require(self) -> None:
        """Raise `UserError` if it is not set up."""
        if not Path(self.python).is_file():
            raise UserError(f"no {self.python}: run 'make setup' in {self.folder}")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the report."""

    key: str
    label: str
    unit: str


@dataclass(frozen=True, slots=True)
class Figure:
    """Something to measure; `measure` gets the target and the seconds of a flood."""

    name: str
    measure: Callable[[str, float], Values]
    rows: tuple[Row, ...]
    not_on: tuple[str, ...] = ()
    """Targets that cannot do what is measured."""


def run(target: str, checkout: Checkout, figures: Iterable[Figure], seconds: float) -> Values:
    """Bring up the lab on a target, and measure; `UserError` if that is not possible.

    A figure that an incumbent does not manage is left out, which is said.
    """
    topo = topology.read(topology.find("nat"))
    values: Values = {}
    runner.sweep()
    try:
        if target in INCUMBENTS:
            INCUMBENTS[target](topo)
        else:
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
                config.write(checkout.config.read_text() + _MORE)
                config.flush()
                options = runner.Options(workers=WORKERS.get(target, 0))
                kind = "embedded" if target in WORKERS else target
                runner.up(topo, kind, Path(config.name), checkout.python, options)
        for figure in figures:
            if target in figure.not_on or (target in WORKERS and figure.name not in OF_WORKERS):
                continue
            print(f"  {target}: {figure.name} ...", file=sys.stderr, flush=True)
            try:
                values |= figure.measure(target, seconds)
            except UserError as error:
                if target not in INCUMBENTS:
                    raise
                print(f"{target}: no {figure.name} here ({error})")
        return values
    finally:
        runner.sweep()


def traffic(host: str, *args: object) -> Any:
    """Run a sender in a host; what it printed."""
    command = [sys.executable, str(HERE / "traffic.py"), *map(str, args)]
    done = subprocess.run(
        plan.inside(runner.current().hosts[host], *command),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"{args[0]}: {why}")
    return json.loads(done.stdout)


def serve(role: str, port: int, name: str | None = None) -> None:
    """Start a sink in outside1, if none of that name (the role's, by default) runs there."""
    if any(process.name == (name or role) for process in runner.current().processes):
        return
    command = [sys.executable, str(HERE / "traffic.py"), role, str(port)]
    process = runner.start(name or role, "outside1", command)
    until = time.monotonic() + 10
    proto = "tcp" if role in TCP_ROLES else "udp"
    while not runner.listens(process.pid, port, proto):
        if not process.alive() or time.monotonic() > until:
            raise UserError(f"{role} does not start")
        time.sleep(0.05)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of them are not above."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def tcp(_target: str, seconds: float) -> Values:
    """One connection, as fast as it goes."""
    serve("tcp-sink", 5001)
    sent = traffic("inside1", "tcp-send", SERVER, 5001, seconds)
    return {"tcp": sent["bits_per_second"] / 1e6}


def small_packets(_target: str, seconds: float) -> Values:
    """64-byte frames of one flow."""
    serve("rx-count", COUNT_PORT)
    flood = traffic("inside1", "udp-flood", SERVER, COUNT_PORT, seconds)
    return {"pps": flood["packets_per_second"] / 1e3}


def gre(_target: str, seconds: float) -> Values:
    """64-byte frames of a PPTP call."""
    serve("pptp-server", 1723)
    return _tunnel("gre", 1723, seconds)


def esp(_target: str, seconds: float) -> Values:
    """64-byte frames of an ESP SPI."""
    serve("ike-answer", 500)
    return _tunnel("esp", 500, seconds)


def _tunnel(name: str, port: int, seconds: float) -> Values:
    """What of a flood arrived, and what of it came to the controller (nothing)."""
    serve("rx-count", COUNT_PORT)
    client = Client(runner.control_socket() or Path())
    before = _punted(client)
    flood = traffic("inside1", f"{name}-flood", SERVER, port, COUNT_PORT, seconds)
    return {
        name: flood["packets_per_second"] / 1e3,
        f"{name}-punted": _punted(client) - before,
    }


def _punted(client: Client) -> float:
    """Packets that came to the controller so far."""
    counters = client.call("show", what="counters")
    return float(sum(n for name, n in counters.items() if name.startswith("switch.punts.")))


def _addresses(host: str) -> int:
    """Give a host 16 addresses more; returns the last byte of the first of them.

    They have to be somebody's: who does not answer ARP gets no block of ports.
    """
    first = {"inside1": 64, "inside2": 80}[host]
    for last in range(first, first + 16):
        command = ["ip", "-n", runner.current().hosts[host], "addr", "replace"]
        subprocess.run([*command, f"10.0.0.{last}/24", "dev", "eth0"], check=True)
    return first


def _handed_over() -> float | None:
    """First packets of flows that came to the controller so far, if there is one."""
    place = runner.control_socket()
    if place is None:
        return None
    counters = Client(place).call("show", what="counters")
    return float(sum(counters.get(f"switch.punts.{name}", 0) for name in ("new-flow", "overflow")))


def sip_latency(_target: str, _seconds: float) -> Values:
    """What the ALG adds to a SIP message on its way."""
    serve("stamp", 5060)
    serve("stamp", 5006, "stamp-plain")
    found = traffic("inside1", "sip-latency", SERVER, 5060, 5006, 500)
    plain = percentile(found["plain_ms"], 0.5)
    # The calls need the port.
    runner.stop("stamp")
    return {
        "sip50": percentile(found["sip_ms"], 0.5) - plain,
        "sip99": percentile(found["sip_ms"], 0.99) - plain,
    }


def held_calls(_target: str, _seconds: float) -> Values:
    """A thousand calls held at once, without media."""
    many = sipload.run(50, 1000, 22.0, media=False)
    return {"held-bad": many.bad, "call-kb": (many.held[1] - many.held[0]) / 1000 / 1000}


def calls(_target: str, _seconds: float) -> Values:
    """Calls with media, as many a second as go without one that fails."""
    values: Values = {}
    for rate in CALL_RATES:
        load = sipload.run(rate, 3 * rate, 0.3, media=True)
        if load.bad:
            break
        values["calls"] = rate
        values["media"] = 100.0 * load.heard / (load.good * sipload.PACKETS)
        if load.cpu:
            # INVITE, 180, 200, ACK, BYE, 200
            values["sip-core"] = 6 * load.good / load.cpu
    return values


def ftp(_target: str, _seconds: float) -> Values:
    """Announcements and data connections, one after the other."""
    serve("ftp-server", 21)
    # One process starts and the caches fill before what counts.
    traffic("inside1", "ftp-dialogue", SERVER, 21, 20)
    dialogue = traffic("inside1", "ftp-dialogue", SERVER, 21, 400)
    return {
        "ftp": dialogue["connections_per_second"],
        "p50": percentile(dialogue["port_ms"], 0.5),
        "p99": percentile(dialogue["port_ms"], 0.99),
        "noop": percentile(dialogue["noop_ms"], 0.5),
    }


def new_flows(_target: str, seconds: float) -> Values:
    """Packets that each begin a plain flow, beside the same packets of known flows."""
    serve("rx-count", COUNT_PORT)
    before = _handed_over()
    first = _addresses("inside1")
    length = min(seconds, _FLOW_SECONDS)
    rates = traffic("inside1", "flow-flood", SERVER, first, COUNT_PORT, length)
    new, known = rates["new"], rates["known"]
    values = {"flows": new / 1e3, "known": known / 1e3, "flow-share": new / known}
    if before is not None:
        values["flow-punts"] = (_handed_over() or 0.0) - before
    return values


def first_packets(_target: str, _seconds: float) -> Values:
    """What the first packet of a flow takes, one flow after the other."""
    serve("stamp", 5006, "stamp-plain")
    # The first flow of the host makes its entries.
    traffic("inside1", "first-packets", SERVER, 5006, 20)
    found = traffic("inside1", "first-packets", SERVER, 5006, 1000)
    return {
        "first50": percentile(found["first_ms"], 0.5),
        "first99": percentile(found["first_ms"], 0.99),
        "second50": percentile(found["second_ms"], 0.5),
    }


def busy_ftp(_target: str, _seconds: float) -> Values:
    """Announcements while another host begins plain flows, if possible 10000 a second."""
    serve("rx-count", COUNT_PORT)
    serve("ftp-server", 21)
    command = [sys.executable, str(HERE / "traffic.py"), "busy-flows"]
    first = _addresses("inside2")
    args = map(str, (SERVER, first, COUNT_PORT, _BUSY_RATE, _BUSY_SECONDS))
    with subprocess.Popen(
        plan.inside(runner.current().hosts["inside2"], *command, *args),
        stdout=subprocess.PIPE,
        text=True,
    ) as flood:
        time.sleep(2.0)
        try:
            dialogue = traffic("inside1", "ftp-dialogue", SERVER, 21, 200)
        finally:
            said = flood.communicate(timeout=60)[0]
    if flood.returncode:
        raise UserError("busy-flows: see the traceback above")
    rates = json.loads(said)
    return {
        "busy": rates["packets_per_second"] / 1e3,
        "busy50": percentile(dialogue["port_ms"], 0.5),
        "busy99": percentile(dialogue["port_ms"], 0.99),
    }


FIGURES = (
    Figure("tcp", tcp, (Row("tcp", "TCP throughput", "Mbit/s"),)),
    Figure("packets", small_packets, (Row("pps", "64-byte packets", "kpps"),)),
    Figure("gre", gre, (Row("gre", "GRE of a call", "kpps"),), (KERNEL, OVS)),
    Figure("esp", esp, (Row("esp", "ESP of an SPI", "kpps"),), (KERNEL, OVS)),
    Figure(
        "sip-latency",
        sip_latency,
        (
            Row("sip50", "SIP message, added p50", "ms"),
            Row("sip99", "SIP message, added p99", "ms"),
        ),
        (KERNEL, OVS),
    ),
    Figure(
        "held-calls", held_calls, (Row("call-kb", "memory of a held call", "KB"),), (KERNEL, OVS)
    ),
    Figure(
        "calls",
        calls,
        (
            Row("calls", "SIP calls, none failed", "1/s"),
            Row("media", "media heard", "%"),
            Row("sip-core", "SIP messages a core", "1/s"),
        ),
        (OVS,),
    ),
    Figure(
        "ftp",
        ftp,
        (
            Row("ftp", "FTP data connections", "1/s"),
            Row("p50", "pinhole latency p50", "ms"),
            Row("p99", "pinhole latency p99", "ms"),
            Row("noop", "plain command p50", "ms"),
        ),
    ),
    Figure(
        "first-packets",
        first_packets,
        (
            Row("first50", "first packet p50", "ms"),
            Row("first99", "first packet p99", "ms"),
            Row("second50", "second packet p50", "ms"),
        ),
    ),
    Figure(
        "new-flows",
        new_flows,
        (
            Row("flows", "new plain flows", "1000/s"),
            Row("known", "packets of 16 flows", "kpps"),
            Row("flow-share", "of known packets", "ratio"),
            Row("flow-punts", "handed to the controller", ""),
        ),
    ),
    Figure(
        "busy-ftp",
        busy_ftp,
        (
            Row("busy", "new flows meanwhile", "1000/s"),
            Row("busy50", "pinhole latency p50", "ms"),
            Row("busy99", "pinhole latency p99", "ms"),
        ),
    ),
)
"""In the order in which they are measured: what fills the switch with flows comes last."""
MEMORY, OPERATING = "memory", "operating"
"""What has a lab of its own: `memory`, and `operating.report`."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the processes take with so many plain flows; resident MB."""

    flows: int
    controller: float
    switch: float


def large_config(checkout: Checkout) -> str:
    """The configuration of the lab with the large program."""
    standard = checkout.config.read_text() + _MORE
    return standard.replace("switch: {", "switch: {program: large, ")


def begin_flows(count: int, begun: float = 0.0) -> float:
    """Begin plain flows of one host until there are `count`, of which `begun` were; how many."""
    while begun < count:
        seconds = min((count - begun) / _HELD_RATE, _HELD_SECONDS) + 0.05
        args = (SERVER, _addresses("inside1"), COUNT_PORT, _HELD_RATE, seconds)
        rates = traffic("inside1", "busy-flows", *args)
        begun += rates["packets_per_second"] * seconds
    return begun


def memory(checkout: Checkout) -> list[Held]:
    """The embedded switch with the large program, and its controller, as plain flows begin."""
    runner.sweep()
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
            config.write(large_config(checkout))
            config.flush()
            topo = topology.read(topology.find("nat"))
            runner.up(topo, "embedded", Path(config.name), checkout.python)
        serve("rx-count", COUNT_PORT)
        found = [Held(0, *_resident())]
        begun = 0.0
        for count in HELD_FLOWS:
            print(f"  embedded: {count} flows ...", file=sys.stderr, flush=True)
            begun = begin_flows(count, begun)
            found.append(Held(count, *_resident()))
        return found
    finally:
        runner.sweep()


def _resident() -> tuple[float, float]:
    """Resident MB of the controller and of the switch."""
    sizes = {}
    for process in runner.current().processes:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        sizes[process.name] = int(line.split()[1]) / 1000
    return sizes[runner.CONTROLLER], sizes[names.SWITCH]
