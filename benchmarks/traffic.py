"""What runs inside the hosts of a benchmark: senders, sinks and a small FTP dialogue.

Started as ``python traffic.py ROLE ARGUMENTS``; a sender prints one JSON object.
All hosts share the machine's monotonic clock, so that times can be compared.
Not a real FTP server: it stamps what it receives, which vsftpd does not.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator

import flood

ESP = 50
FLOOD = 5002
"""The port that a flood of UDP goes to."""
CALL = 99
"""The call id of the PPTP server."""


def tcp_sink(port: int) -> None:
    """Read and forget."""
    with socket.create_server(("", port)) as server:
        while True:
            link, _ = server.accept()
            with link:
                while link.recv(1 << 20):
                    pass


def tcp_send(addr: str, port: int, seconds: float) -> dict[str, float]:
    """Send as fast as TCP allows; bits a second."""
    block = bytes(1 << 18)
    with socket.create_connection((addr, port), timeout=10) as link:
        begin, sent = time.monotonic(), 0
        while time.monotonic() - begin < seconds:
            sent += link.send(block)
        link.shutdown(socket.SHUT_WR)
        link.settimeout(30)
        link.recv(1)
        took = time.monotonic() - begin
    return {"bits_per_second": sent * 8 / took}


def rx_count(port: int) -> None:
    """Tell who sends ``?`` how many packets have come to the interface.

    Also takes in, and never reads, what the floods send: without a receiver the
    kernel would answer with errors.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_GRE),
        socket.socket(socket.AF_INET, socket.SOCK_RAW, ESP),
    ):
        taken.bind(("", FLOOD))
        asked.bind(("", port))
        while True:
            _, peer = asked.recvfrom(64)
            asked.sendto(b"%d" % flood.packets("rx"), peer)


def udp_flood(addr: str, count_port: int, seconds: float) -> dict[str, float]:
    """64-byte frames (18 bytes of payload) of one flow; those that arrived, a second."""
    with (
        _asked(addr, count_port) as asked,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link,
    ):
        link.connect((addr, FLOOD))
        # The first one makes the entries of the flow.
        link.send(bytes(18))
        time.sleep(0.5)
        own, port = link.getsockname()
        head = f"ipv4(sa={own}, da={addr}, ttl=64), udp(sp={port}, dp={FLOOD}), fill(0, 18)"
        return flood.run(asked, head, seconds)


def flow_flood(addr: str, first: int, count_port: int, seconds: float) -> dict[str, float]:
    """64-byte frames of which each begins a flow, then such of known flows; arrived a second.

    The flows are of 16 inside addresses, as no NAT gives one host everything; `first` is
    the last byte of the first of them.
    """
    with _asked(addr, count_port) as asked:
        # The first packet of each address makes its entries.
        flood.run(asked, _frames(addr, first, known=True), 0.5, rate=1000)
        begun = flood.run(asked, _frames(addr, first, known=False), seconds)
        went_on = flood.run(asked, _frames(addr, first, known=True), seconds)
    return {"new": begun["packets_per_second"], "known": went_on["packets_per_second"]}


def busy_flows(
    addr: str, first: int, count_port: int, rate: int, seconds: float
) -> dict[str, float]:
    """`rate` new flows a second, for who wants to be measured meanwhile."""
    with _asked(addr, count_port) as asked:
        flood.run(asked, _frames(addr, first, known=True), 0.5, rate=1000)
        return flood.run(asked, _frames(addr, first, known=False), seconds, rate=rate)


def _frames(addr: str, first: int, *, known: bool) -> str:
    """Datagrams of 16 of our addresses, each to a port of its own unless `known`.

    `first` is the last byte of the first of them.

    In bytes: trafgen counts bytes only. The periods of 16, 61, 67 and 251 have no common
    divisor, so that a flow comes again after 16 million others.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.connect((addr, 9))
        own = socket.inet_aton(link.getsockname()[0])
    head = struct.pack("!BBHHHBB", 0x45, 0, 46, 0, 0, 64, socket.IPPROTO_UDP)
    parts = [_bytes(head), "csumip(14, 33)", _bytes(own[:3]), f"dinc({first}, {first + 15})"]
    own_port, port = ("0", "27, 0") if known else ("dinc(0, 60)", "dinc(27, 93), dinc(0, 250)")
    parts += [_bytes(socket.inet_aton(addr)), f"20, {own_port}, {port}", _bytes(b"\0\x1a\0\0")]
    return ", ".join([*parts, "fill(0, 18)"])


def _bytes(data: bytes) -> str:
    return ", ".join(f"0x{byte:02x}" for byte in data)


def first_packets(addr: str, port: int, count: int) -> dict[str, list[float]]:
    """How long the first datagram of a flow takes to `stamp`, and the second; milliseconds."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.connect((addr, port))
            link.settimeout(5)
            for found in times:
                sent = time.monotonic_ns()
                link.send(b"when")
                found.append((int(link.recv(64)) - sent) / 1e6)
    return {"first_ms": times[0], "second_ms": times[1]}


def ftp_server(port: int) -> None:
    """Greets, takes any login, and connects on LIST to what PORT announced.

    Every answer says when the command came, in nanoseconds.
    """
    with socket.create_server(("", port)) as server:
        while True:
            link, _ = server.accept()
            with link, link.makefile("rb") as lines:
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link.sendall(b"220 stamps\r\n")
                target = ("", 0)
                for line in lines:
                    now = time.monotonic_ns()
                    verb, _, rest = line.strip().partition(b" ")
                    if verb == b"PORT":
                        n = [int(part) for part in rest.split(b",")]
                        target = (".".join(map(str, n[:4])), n[4] << 8 | n[5])
                    elif verb == b"LIST":
                        with socket.create_connection(target, timeout=5) as data:
                            data.sendall(b"x")
                    code = {b"USER": 331, b"PASS": 230}.get(verb, 200)
                    link.sendall(b"%d %d\r\n" % (code, now))


def ftp_dialogue(addr: str, port: int, count: int) -> dict[str, object]:
    """PORT and a data connection, `count` times; latencies of announcements in milliseconds."""
    port_times: list[float] = []
    noop_times: list[float] = []
    with (
        socket.create_connection((addr, port), timeout=10) as link,
        link.makefile("rb") as lines,
    ):
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        own = link.getsockname()[0].replace(".", ",")
        lines.readline()

        def ask(text: str) -> float:
            sent = time.monotonic_ns()
            link.sendall(text.encode() + b"\r\n")
            return (int(lines.readline().split()[1]) - sent) / 1e6

        # The kernel's helper does not read the first command of a connection.
        ask("USER bench")
        ask("PASS bench")
        begin = time.monotonic()
        for _ in range(count):
            with socket.create_server(("", 0)) as data:
                data.settimeout(10)
                number = data.getsockname()[1]
                port_times.append(ask(f"PORT {own},{number >> 8},{number & 255}"))
                link.sendall(b"LIST\r\n")
                taken, _ = data.accept()
                while taken.recv(16):
                    pass
                taken.close()
                lines.readline()
        took = time.monotonic() - begin
        for _ in range(count):
            noop_times.append(ask("NOOP"))
    return {
        "connections_per_second": count / took,
        "port_ms": port_times,
        "noop_ms": noop_times,
    }


def pptp_server(port: int) -> None:
    """Agree to one call of each PPTP client, with an id of its own (RFC 2637)."""
    with socket.create_server(("", port)) as server:
        while True:
            link, _ = server.accept()
            link.recv(156)
            link.sendall(_pptp(2, 156, b"\1\0\1\0"))
            asked = link.recv(168)
            link.sendall(_pptp(8, 32, struct.pack("!HHBB", CALL, *_call_id(asked), 1, 0)))


def gre_flood(addr: str, port: int, count_port: int, seconds: float) -> dict[str, float]:
    """Enhanced GRE of one call, 64-byte frames; those that arrived, a second."""
    with socket.create_connection((addr, port), timeout=10) as link:
        link.sendall(_pptp(1, 156, b"\1\0\0\0"))
        link.recv(156)
        link.sendall(_pptp(7, 168, struct.pack("!HH", 4711, 1)))
        link.recv(32)
        packet = struct.pack("!HHHHI", 0x3001, 0x880B, 14, CALL, 1) + bytes(14)
        return _raw_flood(socket.IPPROTO_GRE, addr, packet, count_port, seconds)


def ike_answer(port: int) -> None:
    """Answer every IKE header with one of our own (RFC 7296 section 3.1)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("", port))
        while True:
            data, peer = link.recvfrom(2048)
            link.sendto(data[:8] + b"answered" + data[16:19] + b"\x20" + data[20:28], peer)


def esp_flood(addr: str, port: int, count_port: int, seconds: float) -> dict[str, float]:
    """ESP of one SPI, 64-byte frames; those that arrived, a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("", port))
        link.connect((addr, port))
        link.settimeout(5)
        link.send(struct.pack("!8sQ4B2I", b"benchspi", 0, 33, 0x20, 34, 8, 0, 28))
        link.recv(64)
    packet = struct.pack("!II", 0x10001, 1) + bytes(18)
    return _raw_flood(ESP, addr, packet, count_port, seconds)


def _raw_flood(
    proto: int, addr: str, packet: bytes, count_port: int, seconds: float
) -> dict[str, float]:
    with (
        _asked(addr, count_port) as asked,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, proto) as raw,
    ):
        raw.connect((addr, 0))
        # The first one makes the entry of the flow.
        raw.send(packet)
        time.sleep(0.5)
        head = f"ipv4(sa={raw.getsockname()[0]}, da={addr}, proto={proto}, ttl=64)"
        return flood.run(asked, f"{head}, {_bytes(packet)}", seconds)


@contextlib.contextmanager
def _asked(addr: str, port: int) -> Iterator[socket.socket]:
    """A socket to ask the other side's `rx_count` with, which has answered once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.connect((addr, port))
        asked.settimeout(1)
        flood.ask(asked)
        yield asked


def _pptp(kind: int, size: int, body: bytes) -> bytes:
    head = struct.pack("!HHIHH", size, 1, 0x1A2B3C4D, kind, 0)
    return (head + body).ljust(size, b"\0")


def _call_id(message: bytes) -> tuple[int]:
    (number,) = struct.unpack_from("!H", message, 12)
    return (number,)


def stamp(port: int) -> None:
    """Tell who sends when it came (ns): in an answer to a SIP request, or as it is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("", port))
        while True:
            data, peer = link.recvfrom(4096)
            now = b"%d" % time.monotonic_ns()
            if b" SIP/2.0\r\n" in data:
                kept = [
                    line
                    for line in data.split(b"\r\n")
                    if line.startswith((b"Via:", b"From:", b"To:", b"Call-ID:", b"CSeq:"))
                ]
                lines = [b"SIP/2.0 200 OK", *kept, b"Content-Length: %d" % len(now)]
                link.sendto(b"\r\n".join(lines) + b"\r\n\r\n" + now, peer)
            else:
                link.sendto(now, peer)


def sip_latency(addr: str, port: int, plain_port: int, count: int) -> dict[str, object]:
    """How long SIP requests take to the other side, and plain datagrams; milliseconds."""
    times: dict[int, list[float]] = {port: [], plain_port: []}
    for to, found in times.items():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.connect((addr, to))
            link.settimeout(5)
            own, own_port = link.getsockname()
            for number in range(count + 20):
                text = _OPTIONS.format(addr=addr, own=own, port=own_port, number=number)
                data = text.replace("\n", "\r\n").encode() if to == port else bytes(len(text))
                sent = time.monotonic_ns()
                link.send(data)
                came = int(link.recv(4096).rpartition(b"\r\n")[2])
                # The first ones make the flow and fill the caches.
                if number >= 20:
                    found.append((came - sent) / 1e6)
    return {"sip_ms": times[port], "plain_ms": times[plain_port]}


_OPTIONS = """\
OPTIONS sip:bench@{addr} SIP/2.0
Via: SIP/2.0/UDP {own}:{port};branch=z9hG4bK{number};rport
From: <sip:bench@{own}>;tag=1
To: <sip:bench@{addr}>
Call-ID: {number}@{own}
CSeq: 1 OPTIONS
Max-Forwards: 70
Contact: <sip:bench@{own}:{port}>
Content-Length: 0

"""

ROLES: dict[str, Callable[[list[str]], object]] = {
    "stamp": lambda a: stamp(int(a[0])),
    "sip-latency": lambda a: sip_latency(a[0], int(a[1]), int(a[2]), int(a[3])),
    "pptp-server": lambda a: pptp_server(int(a[0])),
    "gre-flood": lambda a: gre_flood(a[0], int(a[1]), int(a[2]), float(a[3])),
    "ike-answer": lambda a: ike_answer(int(a[0])),
    "esp-flood": lambda a: esp_flood(a[0], int(a[1]), int(a[2]), float(a[3])),
    "tcp-sink": lambda a: tcp_sink(int(a[0])),
    "tcp-send": lambda a: tcp_send(a[0], int(a[1]), float(a[2])),
    "rx-count": lambda a: rx_count(int(a[0])),
    "udp-flood": lambda a: udp_flood(a[0], int(a[1]), float(a[2])),
    "flow-flood": lambda a: flow_flood(a[0], int(a[1]), int(a[2]), float(a[3])),
    "first-packets": lambda a: first_packets(a[0], int(a[1]), int(a[2])),
    "busy-flows": lambda a: busy_flows(a[0], int(a[1]), int(a[2]), int(a[3]), float(a[4])),
    "ftp-server": lambda a: ftp_server(int(a[0])),
    "ftp-dialogue": lambda a: ftp_dialogue(a[0], int(a[1]), int(a[2])),
}

if __name__ == "__main__":
    result = ROLES[sys.argv[1]](sys.argv[2:])
    if result is not None:
        print(json.dumps(result))
