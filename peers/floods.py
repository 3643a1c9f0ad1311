"""Floods of a lab: what one host can send to keep a gateway busy, by trafgen.

Each flood is made of frames in bytes, because trafgen counts and draws bytes only.
"""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from p4alg.lab import plan, runner

FORGED_NEIGHBOURS = "forged sources of its own network"
FORGED_STRANGERS = "forged sources of other networks"
SYNS = "SYNs to every port"
FTP_SYNS = "SYNs to FTP servers"
LATER_FRAGMENTS = "later fragments of nothing"
RANDOM_ESP = "ESP with random SPIs"
ARP_QUESTIONS = "questions for absent neighbours"
_START_SECONDS = 5.0
_TCP, _UDP, _ESP = 6, 17, 50


@contextmanager
def flood(kind: str, host: str, target: str, rate: int) -> Iterator[None]:
    """Flood from a host of the lab while in the context; `rate` in packets a second.

    `target` is the address that the packets go to. Raises RuntimeError if nothing is sent.
    """
    space = runner.current().hosts[host]
    own, mac, gateway = _ends(space, target)
    child = subprocess.Popen(
        plan.inside(
            space,
            *("trafgen", "--dev", "eth0", "--in", "-", "--cpus", "1", "--no-sock-mem"),
            *("--ring-size", "256KiB", "--no-cpu-stats", "--rate", f"{rate}pps"),
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert child.stdin is not None
    child.stdin.write(_packet(kind, own, target, mac, gateway))
    child.stdin.close()
    try:
        before, until = _sent(space), time.monotonic() + _START_SECONDS
        while _sent(space) < before + 50:
            if child.poll() is not None or time.monotonic() > until:
                raise RuntimeError("trafgen sends nothing")
            time.sleep(0.01)
        yield
    finally:
        # It sends from a child, which gets a signal only with the whole group.
        subprocess.run(["kill", f"-{signal.SIGINT.value}", "--", f"-{child.pid}"], check=False)
        child.wait(10)


def _packet(kind: str, own: str, target: str, mac: str, gateway: str) -> str:
    """The frame in trafgen's language."""
    if kind == ARP_QUESTIONS:
        arp = f"op=request, smac={mac}, sip={own}, tip=drnd()"
        return f"{{ eth(da=ff:ff:ff:ff:ff:ff, sa={mac}), arp({arp}) }}\n"
    first, last = _bytes(socket.inet_aton(own)[:3]), str(socket.inet_aton(own)[3])
    source, goal = f"{first}, {last}", _bytes(socket.inet_aton(target))
    if kind == FORGED_NEIGHBOURS:
        source = f"{first}, dinc(100, 250)"
    elif kind == FORGED_STRANGERS:
        source = "dinc(11, 99), drnd(), drnd(), dinc(1, 250)"
    ports, window = "dinc(64, 250), drnd(), {port}", "0x02, 0x00"
    syn = f"{ports}, drnd(4), drnd(4), 0x50, 0x02, {window}, csumtcp(14, 34), 0, 0"
    udp = "dinc(64, 250), drnd(), drnd(), drnd(), 0, 26, 0, 0, fill(0, 18)"
    # Protocol, fragment offset in 8 bytes, length behind the IPv4 header, and what is there.
    bodies = {
        SYNS: (_TCP, 0, 20, syn.format(port="drnd(), drnd()")),
        FTP_SYNS: (_TCP, 0, 20, syn.format(port="0, 21")),
        LATER_FRAGMENTS: (_UDP, 64, 26, "fill(0, 26)"),
        RANDOM_ESP: (_ESP, 0, 26, "drnd(4), drnd(4), fill(0, 18)"),
    }
    proto, offset, size, body = bodies.get(kind, (_UDP, 0, 26, udp))
    head = _bytes(struct.pack("!BBH", 0x45, 0, 20 + size))
    rest = _bytes(struct.pack("!HBB", offset, 64, proto))
    return (
        f"{{ eth(da={gateway}, sa={mac}, type=0x800), {head}, drnd(2), {rest}, "
        f"csumip(14, 33), {source}, {goal}, {body} }}\n"
    )


def _ends(space: str, target: str) -> tuple[str, str, str]:
    """Our address, our MAC address, and that of the gateway."""
    script = (
        f"ping -c1 -W2 {target} >/dev/null; ip -4 -o addr show eth0; "
        "cat /sys/class/net/eth0/address; ip neigh"
    )
    done = subprocess.run(
        plan.inside(space, "sh", "-c", script), capture_output=True, text=True, check=False
    )
    address, mac, *neighbours = done.stdout.splitlines()
    gateway = next(
        words[words.index("lladdr") + 1]
        for words in (line.split() for line in neighbours)
        if "lladdr" in words
    )
    return address.split()[3].partition("/")[0], mac, gateway


def _sent(space: str) -> int:
    done = subprocess.run(
        plan.inside(space, "cat", "/sys/class/net/eth0/statistics/tx_packets"),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def _bytes(data: bytes) -> str:
    return ", ".join(f"0x{byte:02x}" for byte in data)
