"""A scripted IPsec peer in a host of a lab: plain ESP with given SPIs, and bare IKE headers.

It does what a gateway without NAT traversal would, which strongSwan in a TUN
device cannot. `Peer` is its remote control; run as a program, this module is the
peer itself, which sends what it is told on stdin and tells what comes on stdout.
"""

from __future__ import annotations

import json
import os
import queue
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Self

from p4alg.config.errors import UserError
from p4alg.lab import plan, runner

UDP, ESP, AH = 17, 50, 51
IKE_PORT = 500
IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA = 34, 35, 36
_AUTH = 172
"""Bytes of identity, signature, SA and traffic selectors, encrypted, at the least."""
_START_SECONDS = 10.0
_BODY = 64
"""Bytes behind an ESP header, like those of a short packet encrypted."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What came: IP protocol, source address and port (0 if it has none), payload of IP or UDP."""

    proto: int
    source: str
    port: int
    data: bytes

    @property
    def spi(self) -> int:
        """The SPI of an ESP packet."""
        return int.from_bytes(self.data[:4], "big")


def esp(spi: int, sequence: int) -> bytes:
    """An ESP packet whose body says which it is (RFC 4303 section 2); no key is needed."""
    body = f"SPI {spi:08x} number {sequence}".encode()
    return struct.pack(">II", spi, sequence) + body.ljust(_BODY, b".")


def ike(initiator_spi: int, responder_spi: int, exchange: int, is_response: bool) -> bytes:
    """The header of an IKEv2 message (RFC 7296 section 3.1).

    Nothing is behind it, but for an answer to IKE_AUTH, which has the room that an SA takes.
    """
    body = bytes(_AUTH if is_response and exchange == IKE_AUTH else 0)
    flags = 0x20 if is_response else 0x08
    number = 0 if exchange == IKE_SA_INIT else 1
    fields = (initiator_spi, responder_spi, 0, 0x20, exchange, flags, number, 28 + len(body))
    return struct.pack(">QQBBBBII", *fields) + body


class Peer:
    """The remote control of a peer in a host of the lab that is up; ends with the ``with``."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._came: queue.SimpleQueue[Packet] = queue.SimpleQueue()
        self._ready = threading.Event()
        space = runner.current().hosts[host]
        self._child = subprocess.Popen(
            plan.inside(space, sys.executable, "-m", "peers.esp_peer"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(_START_SECONDS) or self._child.poll() is not None:
            self.close()
            raise UserError(f"the IPsec peer does not start in {host}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the peer."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._reader.join()

    def send(self, to: str, proto: int, data: bytes, port: int = IKE_PORT) -> None:
        """Send the payload of an IP packet, or with `UDP` that of a datagram from port 500."""
        assert self._child.stdin is not None
        told = {"to": to, "proto": proto, "data": data.hex(), "port": port}
        self._child.stdin.write(json.dumps(told) + "\n")
        self._child.stdin.flush()

    def receive(self, proto: int, seconds: float) -> Packet | None:
        """The next packet of a protocol; others are skipped. None if there is none in time."""
        until = time.monotonic() + seconds
        while True:
            try:
                packet = self._came.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return None
            if packet.proto == proto:
                return packet

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            told = json.loads(line)
            if "ready" not in told:
                data = bytes.fromhex(told["data"])
                self._came.put(Packet(told["proto"], told["from"], told["port"], data))
            self._ready.set()
        self._ready.set()


def negotiate(
    client: Peer, server: Peer, address: str, spi: int, exchange: int, seconds: float = 5.0
) -> Packet:
    """Let a client ask, and the server at `address` answer, one IKE exchange on port 500.

    Returns the request as it came to the server. Raises `UserError` if either is lost.
    """
    responder_spi = 0 if exchange == IKE_SA_INIT else spi ^ 0xFFFF
    client.send(address, UDP, ike(spi, responder_spi, exchange, is_response=False))
    asked = server.receive(UDP, seconds)
    if asked is None:
        raise UserError(f"no IKE message of {client.host} comes to {server.host}")
    answer = ike(spi, spi ^ 0xFFFF, exchange, is_response=True)
    server.send(asked.source, UDP, answer, asked.port)
    answered = client.receive(UDP, seconds)
    if answered is None or answered.data != answer:
        raise UserError(f"no IKE answer of {server.host} comes to {client.host}")
    return asked


def _main() -> None:
    """Be the peer: one JSON object a line in each direction, until stdin ends."""
    raw = {proto: socket.socket(socket.AF_INET, socket.SOCK_RAW, proto) for proto in (ESP, AH)}
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("", IKE_PORT))
    waiting = selectors.DefaultSelector()
    for proto, sock in {**raw, UDP: udp}.items():
        waiting.register(sock, selectors.EVENT_READ, _teller(proto, sock, sys.stdout))
    print(json.dumps({"ready": True}), flush=True)
    unread = b""

    def hear() -> None:
        # Not by lines of `sys.stdin`, whose buffer a selector knows nothing of.
        nonlocal unread
        piece = os.read(0, 65536)
        if not piece:
            raise SystemExit
        *lines, unread = (unread + piece).split(b"\n")
        for line in lines:
            told = json.loads(line)
            data = bytes.fromhex(told["data"])
            if told["proto"] == UDP:
                udp.sendto(data, (told["to"], told["port"]))
            else:
                raw[told["proto"]].sendto(data, (told["to"], 0))

    waiting.register(0, selectors.EVENT_READ, hear)
    while True:
        for key, _ in waiting.select():
            key.data()


def _teller(proto: int, sock: socket.socket, out: IO[str]) -> Callable[[], None]:
    """What tells of one packet that a socket has."""

    def tell() -> None:
        data, (source, port) = sock.recvfrom(65536)
        if proto != UDP:
            # A raw socket gives the IP header too, and as port the protocol.
            data, port = data[(data[0] & 15) * 4 :], 0
        told = {"proto": proto, "from": source, "port": port, "data": data.hex()}
        print(json.dumps(told), file=out, flush=True)

    return tell


if __name__ == "__main__":
    _main()
