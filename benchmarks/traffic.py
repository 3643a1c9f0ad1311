"""What runs inside the hosts of a benchmark: senders, sinks and a small FTP dialogue.

Started as ``python traffic.py ROLE ARGUMENTS``; a sender prints one JSON object.
All hosts share the machine's monotonic clock, so that times can be compared.
Not a real FTP server: it stamps what it receives, which vsftpd does not.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time


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


def udp_echo(port: int) -> None:
    """Answer every datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        link.bind(("", port))
        while True:
            data, peer = link.recvfrom(2048)
            link.sendto(data, peer)


def udp_count(port: int) -> None:
    """Count datagrams; a datagram ``?`` is answered with the count, which then begins anew."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        link.bind(("", port))
        count = 0
        while True:
            data, peer = link.recvfrom(64)
            if data == b"?":
                link.sendto(b"%d" % count, peer)
                count = 0
            else:
                count += 1


def udp_flood(addr: str, port: int, seconds: float) -> dict[str, float]:
    """64-byte frames (18 bytes of payload) of one flow; those that arrived, a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.connect((addr, port))
        link.settimeout(5)
        link.send(b"?")
        link.recv(64)
        payload = bytes(18)
        begin, sent = time.monotonic(), 0
        link.settimeout(None)
        while time.monotonic() - begin < seconds:
            for _ in range(64):
                link.send(payload)
            sent += 64
        took = time.monotonic() - begin
        time.sleep(1.0)
        link.settimeout(5)
        link.send(b"?")
        arrived = int(link.recv(64))
    return {"packets_per_second": arrived / took, "offered_per_second": sent / took}


def new_flows(addr: str, port: int, count: int, window: int) -> dict[str, float]:
    """Flows from ports of their own, `window` waiting for their answer at once; flows a second."""
    links: dict[int, socket.socket] = {}
    poll = select.epoll()
    started = answered = 0
    begin = last = time.monotonic()
    while answered < count and time.monotonic() - last < 5:
        while started < count and len(links) < window:
            link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            link.setblocking(False)
            link.connect((addr, port))
            link.send(b"x")
            links[link.fileno()] = link
            poll.register(link.fileno(), select.EPOLLIN)
            started += 1
        for number, _ in poll.poll(0.5):
            poll.unregister(number)
            links.pop(number).close()
            answered += 1
            last = time.monotonic()
    return {"flows_per_second": answered / (last - begin), "lost": float(count - answered)}


def ftp_server(port: int) -> None:
    """Greets, stamps PORT in nanoseconds, and connects to what it announces on LIST."""
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
                    link.sendall(b"200 %d\r\n" % now)


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


ROLES = {
    "tcp-sink": lambda a: tcp_sink(int(a[0])),
    "tcp-send": lambda a: tcp_send(a[0], int(a[1]), float(a[2])),
    "udp-echo": lambda a: udp_echo(int(a[0])),
    "udp-count": lambda a: udp_count(int(a[0])),
    "udp-flood": lambda a: udp_flood(a[0], int(a[1]), float(a[2])),
    "new-flows": lambda a: new_flows(a[0], int(a[1]), int(a[2]), int(a[3])),
    "ftp-server": lambda a: ftp_server(int(a[0])),
    "ftp-dialogue": lambda a: ftp_dialogue(a[0], int(a[1]), int(a[2])),
}

if __name__ == "__main__":
    result = ROLES[sys.argv[1]](sys.argv[2:])
    if result is not None:
        print(json.dumps(result))
