"""`make bench`: the gateway on each target present, beside the kernel's NAT, in one run.

Prints figures and their ratios to netfilter. Fails if a floor is missed on the
embedded switch: 300 new flows a second, pinhole latency p99 below 20 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["P4ALG_LAB_STATE"] = "/run/p4alg/bench"
os.environ["P4ALG_LAB_PREFIX"] = "p4algbench-"
os.environ.pop("P4ALG_SOCKET", None)

import netfilter
import sipload
from p4alg.config.errors import UserError
from p4alg.daemon.client import Client
from p4alg.lab import plan, runner, topology

HERE = Path(__file__).resolve().parent
CONFIG = HERE.parent / "topologies" / "nat.config.yaml"
SERVER = "198.51.100.11"
CALL_RATES = (50, 100, 150, 200, 300)
"""Calls a second that are tried, each for three seconds, until one fails."""
TCP_ROLES = ("tcp-sink", "ftp-server", "pptp-server")
FLOOR_FLOWS = 300.0
FLOOR_PINHOLE_MS = 20.0
Figures = dict[str, float]

ROWS = (
    ("tcp", "TCP throughput", "Mbit/s"),
    ("pps", "64-byte packets", "kpps"),
    ("gre", "GRE of a call", "kpps"),
    ("esp", "ESP of an SPI", "kpps"),
    ("flows", "new flows", "1/s"),
    ("ftp", "FTP data connections", "1/s"),
    ("p50", "pinhole latency p50", "ms"),
    ("p99", "pinhole latency p99", "ms"),
    ("noop", "plain command p50", "ms"),
    ("calls", "SIP calls, none failed", "1/s"),
    ("media", "media heard", "%"),
    ("sip-core", "SIP messages a core", "1/s"),
    ("call-kb", "memory of a held call", "KB"),
    ("sip50", "SIP message, added p50", "ms"),
    ("sip99", "SIP message, added p99", "ms"),
)


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


def serve(role: str, port: int) -> None:
    """Start a sink in outside1."""
    command = [sys.executable, str(HERE / "traffic.py"), role, str(port)]
    process = runner.start(role, "outside1", command)
    until = time.monotonic() + 10
    while role in TCP_ROLES and not runner.listens(process.pid, port):
        if time.monotonic() > until:
            raise UserError(f"{role} does not start")
        time.sleep(0.05)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of them are not above."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def measure(target: str, seconds: float) -> Figures:
    """All figures of a target."""
    topo = topology.read(topology.find("nat"))
    runner.sweep()
    try:
        if target == "netfilter":
            netfilter.up(topo)
        else:
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
                # A thousand calls of one host have more pinholes than a host usually has.
                config.write(CONFIG.read_text() + "limits: {pinholes_per_subscriber: 8192}\n")
                config.flush()
                runner.up(topo, target, Path(config.name))
        for role, port in (("tcp-sink", 5001), ("udp-count", 5002), ("udp-echo", 5003)):
            serve(role, port)
        serve("ftp-server", 21)
        figures: Figures = {}
        say(target, "TCP")
        figures["tcp"] = (
            traffic("inside1", "tcp-send", SERVER, 5001, seconds)["bits_per_second"] / 1e6
        )
        say(target, "64-byte packets")
        flood = traffic("inside1", "udp-flood", SERVER, 5002, seconds)
        figures["pps"] = flood["packets_per_second"] / 1e3
        if target != "netfilter":
            figures |= tunnel_figures(target, seconds)
            figures |= sip_figures(target)
        try:
            figures |= call_figures(target)
        except UserError as error:
            if target != "netfilter":
                raise
            print(f"netfilter: its SIP helper does not work on this kernel ({error})")
        say(target, "FTP")
        try:
            figures |= ftp_figures()
        except UserError as error:
            if target != "netfilter":
                raise
            print(f"netfilter: its FTP helper does not work on this kernel ({error})")
        say(target, "new flows")
        flows = traffic("inside1", "new-flows", SERVER, 5003, 4000, 64)
        figures["flows"] = flows["flows_per_second"]
        figures["lost"] = flows["lost"]
        return figures
    finally:
        runner.sweep()


def tunnel_figures(target: str, seconds: float) -> Figures:
    """64-byte frames of GRE and ESP, and what of them came to the controller (nothing)."""
    figures: Figures = {}
    client = Client(runner.control_socket() or Path())
    for name, role, port, proto, count_port in (
        ("gre", "pptp-server", 1723, 47, 5047),
        ("esp", "ike-answer", 500, 50, 5050),
    ):
        say(target, name.upper())
        serve(role, port)
        command = [sys.executable, str(HERE / "traffic.py"), "raw-count", str(proto)]
        runner.start(f"{name}-count", "outside1", [*command, str(count_port)])
        time.sleep(0.5)
        before = punted(client)
        flood = traffic("inside1", f"{name}-flood", SERVER, port, count_port, seconds)
        figures[name] = flood["packets_per_second"] / 1e3
        figures[f"{name}-punted"] = punted(client) - before
    return figures


def sip_figures(target: str) -> Figures:
    """What the ALG adds to a SIP message on its way."""
    say(target, "SIP")
    serve("stamp", 5060)
    command = [sys.executable, str(HERE / "traffic.py"), "stamp", "5006"]
    runner.start("stamp-plain", "outside1", command)
    time.sleep(0.5)
    found = traffic("inside1", "sip-latency", SERVER, 5060, 5006, 500)
    plain = percentile(found["plain_ms"], 0.5)
    runner.stop("stamp")
    return {
        "sip50": percentile(found["sip_ms"], 0.5) - plain,
        "sip99": percentile(found["sip_ms"], 0.99) - plain,
    }


def call_figures(target: str) -> Figures:
    """Calls with media as fast as they go, and a thousand held at once."""
    figures: Figures = {}
    if target != "netfilter":
        say(target, "1000 SIP calls held")
        many = sipload.run(50, 1000, 22.0, media=False)
        figures["held-bad"] = many.bad
        figures["call-kb"] = (many.held[1] - many.held[0]) / 1000 / 1000
    for rate in CALL_RATES:
        say(target, f"{rate} SIP calls a second, with media")
        load = sipload.run(rate, 3 * rate, 0.3, media=True)
        if load.bad:
            break
        figures["calls"] = rate
        figures["media"] = 100.0 * load.heard / (load.good * sipload.PACKETS)
        if load.cpu:
            # INVITE, 180, 200, ACK, BYE, 200
            figures["sip-core"] = 6 * load.good / load.cpu
    return figures


def punted(client: Client) -> float:
    """Packets that came to the controller so far."""
    counters = client.call("show", what="counters")
    return float(sum(n for name, n in counters.items() if name.startswith("switch.punts.")))


def ftp_figures() -> Figures:
    """Announcements and data connections, one after the other."""
    # One process starts and the caches fill before what counts.
    traffic("inside1", "ftp-dialogue", SERVER, 21, 20)
    dialogue = traffic("inside1", "ftp-dialogue", SERVER, 21, 400)
    return {
        "ftp": dialogue["connections_per_second"],
        "p50": percentile(dialogue["port_ms"], 0.5),
        "p99": percentile(dialogue["port_ms"], 0.99),
        "noop": percentile(dialogue["noop_ms"], 0.5),
    }


def memory() -> list[tuple[int, float, float]]:
    """Mappings, resident MB of the controller with them, and bytes for each."""
    found = []
    for count in (1000, 50000):
        done = subprocess.run(
            [sys.executable, str(HERE / "memory.py"), str(count)],
            capture_output=True,
            text=True,
            check=True,
        )
        sizes = json.loads(done.stdout)
        grown = sizes["after"] - sizes["before"]
        found.append((count, sizes["after"] / 1e6, grown / count))
    return found


def say(target: str, what: str) -> None:
    """Progress, on stderr."""
    print(f"  {target}: {what} ...", file=sys.stderr, flush=True)


def versions(targets: list[str]) -> str:
    """The machine and what was measured on it."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    python = platform.python_version()
    text = f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {python}"
    if "bmv2" in targets:
        done = subprocess.run(
            ["simple_switch_grpc", "--version"], capture_output=True, text=True, check=False
        )
        text += f", BMv2 {done.stdout.strip()}"
    return text


def cell(figures: Figures, base: Figures | None, key: str) -> str:
    """A figure, and its ratio to that of `base`."""
    if key not in figures:
        return "-"
    shown = f"{figures[key]:.4g}"
    return f"{shown} ({figures[key] / base[key]:.2g}x)" if base and key in base else shown


def report(results: dict[str, Figures]) -> None:
    """The table, with ratios to netfilter where it ran."""
    base = results.get("netfilter")
    print(f"{'':<24}{'':<8}" + "".join(f"{name:>18}" for name in results))
    for key, label, unit in ROWS:
        cells = []
        for name, figures in results.items():
            cells.append(f"{cell(figures, base if name != 'netfilter' else None, key):>18}")
        print(f"{label:<24}{unit:<8}" + "".join(cells))
    for name, figures in results.items():
        for tunnel in ("gre", "esp"):
            if tunnel in figures:
                print(
                    f"{name}: {figures[f'{tunnel}-punted']:.0f} packets in all came to the "
                    f"controller for {tunnel.upper()}, with its control session"
                )
        if "held-bad" in figures:
            print(f"{name}: {figures['held-bad']:.0f} of 1000 calls held at once failed")
        if figures["lost"]:
            print(f"{name}: {figures['lost']:.0f} of 4000 new flows got no answer")


def floors(figures: Figures) -> list[str]:
    """The floors that were missed."""
    missed = []
    if figures["flows"] < FLOOR_FLOWS:
        missed.append(f"new flows {figures['flows']:.0f}/s, floor {FLOOR_FLOWS:.0f}/s")
    if figures["p99"] >= FLOOR_PINHOLE_MS:
        missed.append(f"pinhole p99 {figures['p99']:.1f} ms, floor {FLOOR_PINHOLE_MS:.0f} ms")
    return missed


def main() -> int:
    """Measure and report; returns the exit status."""
    parser = argparse.ArgumentParser(description="compare the gateway's targets and netfilter")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a flood")
    args = parser.parse_args()
    targets = ["embedded"]
    if shutil.which("simple_switch_grpc"):
        targets.append("bmv2")
    else:
        print("bmv2: left out, simple_switch_grpc is not on PATH")
    results: dict[str, Figures] = {}
    try:
        for target in (*targets, "netfilter"):
            try:
                results[target] = measure(target, args.seconds)
            except UserError as error:
                if target != "netfilter":
                    raise
                print(f"netfilter: left out, {error}")
        sizes = memory()
    except UserError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.status
    print(versions(targets))
    report(results)
    for count, total, each in sizes:
        print(f"controller memory with {count} mappings: {total:.0f} MB, {each:.0f} bytes each")
    missed = floors(results["embedded"])
    for line in missed:
        print(f"FLOOR MISSED on the embedded switch: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
