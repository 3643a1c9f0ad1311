"""Media of our own in a lab: RTP and RTCP sent and counted at both ends.

A socket stays in the namespace it was made in, whoever uses it: endpoints in
hosts of the lab are plain sockets of this process.
"""

from __future__ import annotations

import ctypes
import os
import random
import selectors
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from p4alg.config.errors import UserError
from p4alg.lab import runner

_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of setns(2), which Python has from 3.12 on."""
_PAYLOAD = 160
"""Bytes of 20 ms of G.711."""
_PACE = 0.005
_REPORT_EVERY = 10
"""RTP packets for each RTCP packet."""
_SENDER_REPORT = 200
_EMPTY = bytes(_PAYLOAD)

Address = tuple[str, int]


def socket_in(host: str, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    """A new IPv4 socket in a host of the lab that is up."""
    libc = ctypes.CDLL(None, use_errno=True)
    space = runner.current().hosts[host]
    with (
        open(f"/run/netns/{space}", "rb") as there,
        open("/proc/thread-self/ns/net", "rb") as here,
    ):
        _enter(libc, there.fileno())
        try:
            return socket.socket(socket.AF_INET, kind)
        finally:
            _enter(libc, here.fileno())


def _enter(libc: ctypes.CDLL, space: int) -> None:
    if libc.setns(space, _NEW_NETWORK) != 0:
        raise UserError(f"cannot enter a namespace: {os.strerror(ctypes.get_errno())}")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stream is to be sent, as its description says."""

    address: str
    rtp: int
    rtcp: int


@dataclass(slots=True)
class Heard:
    """What an endpoint got: numbers of packets, each once, and whom they came from."""

    rtp: set[int] = field(default_factory=set)
    rtcp: set[int] = field(default_factory=set)
    rtp_from: set[Address] = field(default_factory=set)
    rtcp_from: set[Address] = field(default_factory=set)
    strange: int = 0
    """Packets of streams that were not meant for it, and repeated ones."""


class Endpoint:
    """A port pair in a host that sends RTP and RTCP and counts what comes; a context manager."""

    def __init__(self, host: str, address: str, port: int, rtcp: int = 0) -> None:
        """Bind to `port`, and to `rtcp` (0: the port above)."""
        self.source = random.getrandbits(32)
        """The SSRC of what it sends."""
        self.heard: dict[int, Heard] = {}
        """What came, by SSRC."""
        self.rtp = socket_in(host)
        self.rtcp = socket_in(host)
        try:
            self.rtp.bind((address, port))
            self.rtcp.bind((address, rtcp or port + 1))
        except OSError:
            self.close()
            raise
        self.rtp.setblocking(False)
        self.rtcp.setblocking(False)

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give both ports back."""
        self.rtp.close()
        self.rtcp.close()

    def send(self, to: Target, number: int) -> None:
        """Send an RTP packet."""
        stamp = number * _PAYLOAD & 0xFFFFFFFF
        header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, stamp, self.source)
        self.rtp.sendto(header + _EMPTY, (to.address, to.rtp))

    def report(self, to: Target, number: int) -> None:
        """Send an RTCP sender report; its packet count carries the number."""
        words = (self.source, 0, 0, 0, number, number * _PAYLOAD)
        packet = struct.pack("!BBHIIIIII", 0x80, _SENDER_REPORT, 6, *words)
        self.rtcp.sendto(packet, (to.address, to.rtcp))

    def listen(self) -> int:
        """Take in what has come; returns how many packets."""
        count = 0
        for line in (self.rtp, self.rtcp):
            while True:
                try:
                    data, sender = line.recvfrom(2048)
                except BlockingIOError:
                    break
                except ConnectionError:
                    # An ICMP error for what was sent before; says nothing about what comes.
                    continue
                self._note(data, sender, line is self.rtp)
                count += 1
        return count

    def from_other(self, other: Endpoint) -> Heard:
        """What has come of another endpoint's stream."""
        return self.heard.setdefault(other.source, Heard())

    def _note(self, data: bytes, sender: Address, media: bool) -> None:
        if len(data) < 12:
            self.heard.setdefault(-1, Heard()).strange += 1
            return
        report = data[1] == _SENDER_REPORT
        if report:
            source, number = (
                struct.unpack_from("!I", data, 4)[0],
                struct.unpack_from("!I", data, 20)[0],
            )
        else:
            number, source = (
                struct.unpack_from("!H", data, 2)[0],
                struct.unpack_from("!I", data, 8)[0],
            )
        heard = self.heard.setdefault(source, Heard())
        numbers, senders = (heard.rtp, heard.rtp_from) if media else (heard.rtcp, heard.rtcp_from)
        if report is media or number in numbers:
            heard.strange += 1
        numbers.add(number)
        senders.add(sender)


@dataclass(frozen=True, slots=True)
class Flow:
    """A stream from one endpoint to another, which is told to send it to `to`."""

    sender: Endpoint
    to: Target
    receiver: Endpoint


@dataclass(frozen=True, slots=True)
class Count:
    """Of one flow: packets sent, those that came, and the sources they came from."""

    sent: int
    reports_sent: int
    received: int
    reports_received: int
    strange: int
    rtp_from: frozenset[Address]
    rtcp_from: frozenset[Address]

    @property
    def complete(self) -> bool:
        """Whether every packet came, once and where it belongs."""
        sent, got = (self.sent, self.reports_sent), (self.received, self.reports_received)
        return sent == got and self.strange == 0


def exchange(flows: Iterable[Flow], packets: int, limit: float = 3.0) -> list[Count]:
    """Send numbered packets along all flows at once, and wait for them for `limit` seconds.

    Streams begin one after the other, so that each sends its first packet into
    whatever is open already, and not into what the other one's packet opens.
    """
    flows = list(flows)
    for flow in flows:
        flow.receiver.listen()
        flow.receiver.heard.pop(flow.sender.source, None)
    for number in range(packets):
        for flow in flows:
            flow.sender.send(flow.to, number)
            if number % _REPORT_EVERY == 0:
                flow.sender.report(flow.to, number)
            flow.receiver.listen()
        time.sleep(_PACE)
    reports = -(-packets // _REPORT_EVERY)
    _drain(flows, packets, reports, time.monotonic() + limit)
    return [_count(flow, packets, reports) for flow in flows]


def _drain(flows: list[Flow], packets: int, reports: int, until: float) -> None:
    with selectors.DefaultSelector() as ready:
        for line in {s for f in flows for s in (f.receiver.rtp, f.receiver.rtcp)}:
            ready.register(line, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            heard = [flow.receiver.from_other(flow.sender) for flow in flows]
            if all(len(h.rtp) >= packets and len(h.rtcp) >= reports for h in heard):
                return
            ready.select(left)
            for flow in flows:
                flow.receiver.listen()


def _count(flow: Flow, packets: int, reports: int) -> Count:
    heard = flow.receiver.from_other(flow.sender)
    got = len(heard.rtp), len(heard.rtcp), heard.strange
    senders = frozenset(heard.rtp_from), frozenset(heard.rtcp_from)
    return Count(packets, reports, *got, *senders)
