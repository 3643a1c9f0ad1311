"""Sockets in the hosts of the lab, and packets as an attacker makes them.

A socket belongs to the network namespace in which it was made. So all hosts are played by this one
process, which makes each socket in the namespace of its host.
"""

from __future__ import annotations

import ctypes
import os
import random
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from p4alg.lab import plan, runner
from p4alg.packet.checksum import transport_checksum
from p4alg.packet.errors import PacketError
from p4alg.packet.ipv4 import build_ipv4, parse_ipv4
from p4alg.protocols import TCP, UDP

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
GATEWAY_IN, GATEWAY_OUT = 0x020000010001, 0x020000010002
ROUTERS = {GATEWAY_IN: "10.0.0.1", GATEWAY_OUT: "198.51.100.1"}
SERVER_OUTSIDE = "203.0.113.5"
"""Where inside1's servers are seen from outside."""
ADDRESSES = {
    "inside1": "10.0.0.11",
    "inside2": "10.0.0.12",
    "outside1": "198.51.100.11",
    "outside2": "198.51.100.12",
}
_ETH_ALL = 3
_CLONE_NEWNET = 0x40000000


@contextmanager
def within(host: str) -> Iterator[None]:
    """Be in the namespace of a host: sockets that are made meanwhile are the host's."""
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{runner.current().hosts[host]}", os.O_RDONLY)
    try:
        if libc.setns(there, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(own, _CLONE_NEWNET)
    finally:
        os.close(own)
        os.close(there)


def tcp(host: str, timeout: float = 2.0) -> socket.socket:
    """A TCP socket of a host."""
    return _made(host, socket.SOCK_STREAM, timeout)


def udp(host: str, timeout: float = 2.0) -> socket.socket:
    """A UDP socket of a host."""
    return _made(host, socket.SOCK_DGRAM, timeout)


def _made(host: str, kind: int, timeout: float) -> socket.socket:
    with within(host):
        made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.settimeout(timeout)
    return made


def listening(host: str, port: int) -> socket.socket:
    """A TCP socket of a host that listens on a port."""
    made = tcp(host)
    made.bind(("", port))
    made.listen(64)
    return made


class Raw:
    """All frames at the only port of a host: what it sends as it likes, and what reaches it."""

    def __init__(self, host: str) -> None:
        with within(host):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_ALL))
            self._socket.bind(("eth0", 0))
        self._socket.settimeout(0.05)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.mac = int.from_bytes(self._socket.getsockname()[4])
        self.host = host
        self.gateway = GATEWAY_IN if host.startswith("inside") else GATEWAY_OUT

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(
        self,
        src: str,
        dst: str,
        proto: int,
        payload: bytes,
        *,
        broadcast: bool = False,
        more: int | None = None,
        options: bytes = b"",
    ) -> None:
        """Send an IPv4 packet by the gateway, from any address.

        `more` is a fragment offset in bytes with the flag "more fragments"; `options` are of IPv4.
        """
        to = (1 << 48) - 1 if broadcast else self.gateway
        frame = bytearray(
            build_ipv4((to, self.mac), 0, number(src), number(dst), proto, options + payload)
        )
        frame[18:20] = random.randbytes(2)
        if more is not None:
            frame[20:22] = (0x2000 | more >> 3).to_bytes(2)
        frame[14] = 0x45 + len(options) // 4
        end = 34 + len(options)
        frame[24:26] = b"\0\0"
        frame[24:26] = _sum(bytes(frame[14:end])).to_bytes(2)
        self._socket.send(bytes(frame))

    def claim(self, address: str) -> None:
        """Answer ARP for an address, whose packets the host then drops: it is not its own."""
        mac = self.mac.to_bytes(6)
        head = self.gateway.to_bytes(6) + mac + b"\x08\x06"
        asker = socket.inet_aton(ROUTERS[self.gateway])
        body = mac + socket.inet_aton(address) + self.gateway.to_bytes(6) + asker
        self._socket.send(head + b"\0\1\x08\0\6\4\0\2" + body)

    def seen(self, wanted: Callable[[bytes], bool], seconds: float = 0.6) -> list[bytes]:
        """The IPv4 packets (without their frames) that reach the host and are `wanted`."""
        found: list[bytes] = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                frame, where = self._socket.recvfrom(65535)
            except TimeoutError:
                continue
            if where[2] == socket.PACKET_OUTGOING or frame[12:14] != b"\x08\x00":
                continue
            try:
                packet = parse_ipv4(frame)
            except PacketError:
                continue
            if wanted(frame[packet.l3 : packet.end]):
                found.append(frame[packet.l3 : packet.end])
        return found


def number(address: str) -> int:
    """An address as an integer."""
    return int.from_bytes(socket.inet_aton(address))


def datagram(src: str, dst: str, ports: tuple[int, int], data: bytes) -> bytes:
    """A UDP datagram."""
    head = struct.pack("!HHHH", *ports, 8 + len(data), 0)
    checksum = transport_checksum(number(src), number(dst), UDP, head + data)
    return head[:6] + (checksum or 0xFFFF).to_bytes(2) + data


def segment(
    src: str,
    dst: str,
    ports: tuple[int, int],
    flags: int,
    seq: int = 0,
    ack: int = 0,
    data: bytes = b"",
    *,
    wrong: bool = False,
) -> bytes:
    """A TCP segment; with `wrong` its checksum is."""
    head = struct.pack("!HHIIBBHHH", *ports, seq % 2**32, ack % 2**32, 0x50, flags, 65535, 0, 0)
    checksum = transport_checksum(number(src), number(dst), TCP, head + data)
    checksum ^= 0x5555 if wrong else 0
    return head[:16] + checksum.to_bytes(2) + head[18:] + data


def ping(host: str, address: str) -> None:
    """Let a host and the gateway learn each other."""
    command = plan.inside(runner.current().hosts[host], "ping", "-c1", "-W2", address)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def _sum(header: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
