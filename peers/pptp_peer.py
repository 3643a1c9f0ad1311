"""A scripted end of PPTP (RFC 2637) in a host: control messages one by one, and raw GRE.

For what real programs do not do on demand: equal call ids, several calls on one
control connection, incoming calls, and GRE of no call. Which end is the PNS and
which the PAC is decided by what it is told to say.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from p4alg.config.errors import UserError
from p4alg.lab import runner
from peers import ppp_frames, pppd_standin
from peers.pptp import PORT

LIMIT = 5.0
"""Seconds to wait for a message or a connection."""
START_REQUEST, START_REPLY = 1, 2
STOP_REQUEST, STOP_REPLY = 3, 4
OUTGOING_REQUEST, OUTGOING_REPLY = 7, 8
INCOMING_REQUEST, INCOMING_REPLY, INCOMING_CONNECTED = 9, 10, 11
CLEAR_REQUEST, DISCONNECT_NOTIFY = 12, 13
SET_LINK_INFO = 15

_HEADER = struct.Struct("!HHIHH")
_COOKIE = 0x1A2B3C4D
_ACCEPTED = 1
_GRE_PROTOCOL = 47
_GRE = struct.Struct("!HHHH")
_GRE_PPP = 0x880B
_GRE_KEY, _GRE_SEQUENCE, _GRE_ACK, _GRE_VERSION = 0x2000, 0x1000, 0x0080, 0x0007
_WINDOW = 8
_CLONE_NEWNET = 0x40000000

_T = TypeVar("_T")


class PeerError(UserError):
    """The other end did not say what was expected of it."""


def in_host(host: str, make: Callable[[], _T]) -> _T:
    """What `make` returns when called in a host: a socket stays in the network it began in."""
    results: list[_T] = []
    failures: list[BaseException] = []
    space = f"/run/netns/{runner.current().hosts[host]}"

    def enter() -> None:
        try:
            network = os.open(space, os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(network, _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"cannot enter {space}")
            finally:
                os.close(network)
            results.append(make())
        except BaseException as failure:
            failures.append(failure)

    # A network belongs to a thread: this one's goes with it.
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


class Tunnel:
    """The enhanced GRE of a host: sends, and collects what comes; use as a context manager."""

    def __init__(self, host: str) -> None:
        self._socket = raw_gre(host)
        self._arrived = threading.Condition()
        self._payloads: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        self._echoed: dict[tuple[str, int], int] = {}
        self._sequence: dict[tuple[str, int], int] = defaultdict(int)
        self._open = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Tunnel:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._thread.join()
        self._socket.close()

    def send(self, to: str, call: int, payload: bytes) -> None:
        """Send a payload of PPP to what `to` calls `call`."""
        number = self._sequence[to, call]
        self._sequence[to, call] += 1
        flags = _GRE_KEY | _GRE_SEQUENCE | 1
        header = _GRE.pack(flags, _GRE_PPP, len(payload), call)
        self.send_raw(to, header + number.to_bytes(4, "big") + payload)

    def send_raw(self, to: str, packet: bytes) -> None:
        """Send any packet of IP protocol 47."""
        self._socket.sendto(packet, (to, 0))

    def echo(self, source: str, own: int, call: int) -> None:
        """Echo, as `pppd_standin`, what `source` sends to the call `own`, to its `call`."""
        self._echoed[source, own] = call

    def received(self, source: str, own: int) -> list[bytes]:
        """All payloads that came from `source` to the call `own`."""
        with self._arrived:
            return list(self._payloads[source, own])

    def total(self) -> int:
        """How many payloads came at all, of whatever call."""
        with self._arrived:
            return sum(map(len, self._payloads.values()))

    def calls(self) -> set[tuple[str, int]]:
        """What came so far is of these calls: the sender's address, and the id here."""
        with self._arrived:
            return {call for call, payloads in self._payloads.items() if payloads}

    def wait(self, source: str, own: int, count: int, limit: float) -> bool:
        """Wait until at least `count` payloads have come from `source` to `own`."""
        with self._arrived:
            return self._arrived.wait_for(
                lambda: len(self._payloads[source, own]) >= count, timeout=limit
            )

    def _run(self) -> None:
        while self._open:
            try:
                packet, (source, _) = self._socket.recvfrom(65535)
            except TimeoutError:
                continue
            found = _read_gre(packet)
            if found is None:
                continue
            own, payload = found
            with self._arrived:
                self._payloads[source, own].append(payload)
                self._arrived.notify_all()
            call = self._echoed.get((source, own))
            if call is not None:
                self.send(source, call, pppd_standin.echo(payload))


def raw_gre(host: str) -> socket.socket:
    """A socket that hears and sends any packet of IP protocol 47 in a host."""
    made = in_host(host, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, _GRE_PROTOCOL))
    made.settimeout(0.1)
    return made


def _read_gre(packet: bytes) -> tuple[int, bytes] | None:
    """Call id and payload of an IPv4 packet with enhanced GRE; None if there is no payload."""
    packet = packet[(packet[0] & 0x0F) * 4 :]
    if len(packet) < _GRE.size:
        return None
    flags, protocol, length, call = _GRE.unpack_from(packet)
    if flags & _GRE_VERSION != 1 or protocol != _GRE_PPP or not flags & _GRE_SEQUENCE:
        return None
    begin = _GRE.size + 4 + (4 if flags & _GRE_ACK else 0)
    return call, packet[begin : begin + length]


class Call:
    """An agreed call, as one end knows it."""

    def __init__(self, tunnel: Tunnel, far: str, own: int, peer: int) -> None:
        self.tunnel = tunnel
        self.far = far
        """The other end's address, as this end knows it."""
        self.own = own
        self.peer = peer
        """The id to send to."""
        self._next = 0

    def send(self, payload: bytes) -> None:
        """Send a PPP frame with that payload."""
        frame = ppp_frames.HEADER + pppd_standin.PROTOCOL + payload
        self.tunnel.send(self.far, self.peer, frame)

    def received(self) -> list[bytes]:
        """The payloads of all PPP frames that came."""
        size = len(ppp_frames.HEADER + pppd_standin.PROTOCOL)
        return [frame[size:] for frame in self.tunnel.received(self.far, self.own)]

    def echo(self) -> None:
        """Echo from now on what comes."""
        self.tunnel.echo(self.far, self.own, self.peer)

    def connect(self, limit: float = LIMIT) -> bool:
        """Wait until the other end echoes; a real one has to start its pppd first."""
        until = time.monotonic() + limit
        while time.monotonic() < until:
            if self.exchange(1, 0.3, name=b"probe") == 1:
                return True
        return False

    def exchange(self, count: int, limit: float = LIMIT, name: bytes = b"data") -> int:
        """Send `count` numbered frames, a few at a time; how many of them were echoed."""
        until = time.monotonic() + limit
        waited: set[bytes] = set()
        sent = echoed = 0
        begin = len(self.received())
        while time.monotonic() < until and echoed < count:
            while sent < count and len(waited) < _WINDOW:
                payload = b"%s %d of call %d" % (name, self._next, self.own)
                self._next += 1
                self.send(payload)
                waited.add(pppd_standin.MARK + payload)
                sent += 1
            self.tunnel.wait(self.far, self.own, begin + 1, min(0.1, limit))
            came = self.received()[begin:]
            begin += len(came)
            got = waited & set(came)
            waited -= got
            echoed += len(got)
        return echoed


class Control:
    """A control connection; each method is one message. Use as a context manager."""

    def __init__(self, connection: socket.socket, tunnel: Tunnel) -> None:
        self._socket = connection
        self._socket.settimeout(LIMIT)
        self._tunnel = tunnel
        self.far: str = connection.getpeername()[0]
        """The other end's address, as this end knows it."""

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    # The connection

    def begin(self) -> None:
        """Begin the connection as its client does."""
        self._send(START_REQUEST, _start(0))

    def accept(self) -> None:
        """Wait for its client to begin the connection, and accept."""
        self._expect(START_REQUEST)
        self._send(START_REPLY, _start(_ACCEPTED))

    def begun(self) -> None:
        """Wait until the server accepts."""
        if self._expect(START_REPLY)[2] != _ACCEPTED:
            raise PeerError("the server does not accept")

    def stop(self) -> None:
        """End the connection by message."""
        self._send(STOP_REQUEST, struct.pack("!BxH", 1, 0))

    # Calls: an outgoing one is asked for by the PNS, an incoming one by the PAC

    def ask_outgoing(self, own: int) -> None:
        """Ask for a call that this end gives the id `own`."""
        body = struct.pack("!HHIIIIHHHH", own, 1, 2400, 10_000_000, 3, 3, 64, 0, 0, 0)
        self._send(OUTGOING_REQUEST, body + bytes(128))

    def answer_outgoing(self, own: int) -> Call:
        """Accept the call that the other end asks for."""
        asked = self._id(self._expect(OUTGOING_REQUEST))
        self.answer_unasked(own, asked)
        return Call(self._tunnel, self.far, own, asked)

    def answer_unasked(self, own: int, asked: int) -> None:
        """Accept a call with the id `asked`, whether the other end asks for it or not."""
        body = struct.pack("!HHBBHIHHI", own, asked, _ACCEPTED, 0, 0, 10_000_000, 64, 0, 0)
        self._send(OUTGOING_REPLY, body)

    def outgoing(self, own: int) -> Call:
        """The call that was asked for, once the other end has accepted it."""
        return self._accepted(OUTGOING_REPLY, own)

    def ask_incoming(self, own: int) -> None:
        """Tell of a call that came in at this end and has the id `own` here."""
        self._send(INCOMING_REQUEST, struct.pack("!HHIIHH", own, 1, 3, 0, 0, 0) + bytes(192))

    def answer_incoming(self, own: int) -> Call:
        """Accept the call that came in at the other end."""
        asked = self._id(self._expect(INCOMING_REQUEST))
        self._send(INCOMING_REPLY, struct.pack("!HHBBHHH", own, asked, _ACCEPTED, 0, 64, 0, 0))
        return Call(self._tunnel, self.far, own, asked)

    def incoming(self, own: int) -> Call:
        """The call that was told of, once the other end has accepted it; says it is connected."""
        call = self._accepted(INCOMING_REPLY, own)
        self._send(INCOMING_CONNECTED, struct.pack("!HHIHHI", call.peer, 0, 64000, 64, 0, 3))
        return call

    def connected(self, call: Call) -> None:
        """Wait until the other end says that an incoming call is connected."""
        self._same(self._id(self._expect(INCOMING_CONNECTED)), call.own)

    def clear(self, call: Call) -> None:
        """Ask, as the PNS, to end a call."""
        self._send(CLEAR_REQUEST, struct.pack("!HH", call.own, 0))

    def cleared(self, call: Call) -> None:
        """Wait for the PNS to end a call, and tell that it is over."""
        self._same(self._id(self._expect(CLEAR_REQUEST)), call.peer)
        self.disconnect(call)

    def disconnect(self, call: Call) -> None:
        """Tell, as the PAC, that a call is over."""
        self._send(DISCONNECT_NOTIFY, struct.pack("!HBBHH", call.own, 1, 0, 0, 0) + bytes(128))

    def disconnected(self, call: Call) -> None:
        """Wait until the PAC tells that a call is over."""
        self._same(self._id(self._expect(DISCONNECT_NOTIFY)), call.peer)

    def link_info(self, call: Call) -> None:
        """Tell the PAC of the link; this names the call by its receiver's id."""
        self._send(SET_LINK_INFO, struct.pack("!HHII", call.peer, 0, 0xFFFFFFFF, 0xFFFFFFFF))

    def linked(self, call: Call) -> None:
        """Wait for what `link_info` says."""
        self._same(self._id(self._expect(SET_LINK_INFO)), call.own)

    # Messages

    def _accepted(self, kind: int, own: int) -> Call:
        body = self._expect(kind)
        peer, told, result = struct.unpack_from("!HHB", body)
        self._same(told, own)
        if result != _ACCEPTED:
            raise PeerError(f"the call {own} is not accepted: {result}")
        return Call(self._tunnel, self.far, own, peer)

    def _send(self, kind: int, body: bytes) -> None:
        size = _HEADER.size + len(body)
        self._socket.sendall(_HEADER.pack(size, 1, _COOKIE, kind, 0) + body)

    def _expect(self, kind: int) -> bytes:
        """The body of the next message, which is to be of that kind."""
        size, _, cookie, came, _ = _HEADER.unpack(self._read(_HEADER.size))
        if cookie != _COOKIE or came != kind:
            raise PeerError(f"expected a message of type {kind}, got {came}")
        return self._read(size - _HEADER.size)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                part = self._socket.recv(size - len(data))
            except OSError as error:
                raise PeerError(f"no message: {error}") from error
            if not part:
                raise PeerError("the other end has closed the connection")
            data += part
        return data

    @staticmethod
    def _id(body: bytes) -> int:
        return int.from_bytes(body[:2], "big")

    @staticmethod
    def _same(told: int, meant: int) -> None:
        if told != meant:
            raise PeerError(f"told of call {told}, not of {meant}")


class Server:
    """Listens for control connections in a host; use as a context manager."""

    def __init__(self, host: str, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self._socket = in_host(host, lambda: socket.create_server(("", PORT)))
        self._socket.settimeout(LIMIT)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def connection(self) -> Control:
        """The next control connection, before any message."""
        return Control(self._socket.accept()[0], self._tunnel)


def connect(host: str, server: str, tunnel: Tunnel) -> Control:
    """A control connection from a host to a server, before any message."""
    made = in_host(host, lambda: socket.create_connection((server, PORT), LIMIT))
    return Control(made, tunnel)


def _start(result: int) -> bytes:
    """The body of the two messages that begin a connection."""
    return struct.pack("!HBBIIHH", 0x0100, result, 0, 3, 3, 0, 1) + bytes(128)
