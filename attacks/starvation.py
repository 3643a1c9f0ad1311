"""One host sends as fast as it likes; the others keep their share."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from attacks import wire
from attacks.table import Attack, Vacuous, World
from attacks.wire import ADDRESSES, SERVER_OUTSIDE, Raw, datagram
from p4alg.protocols import UDP
from peers import floods, flows

_PORT = 7077
_RATE = 2000
_ASKED = 40
_SIP = 5060
_CALLS = 20
_HONEST = "honest"
_FORGED = 4000
_LARGE = 20
_MANY = 300
_PACE = 0.005
"""Seconds between them: BMv2 has room for 64 packets that wait for a port."""
_INSIDE = (
    floods.FORGED_NEIGHBOURS,
    floods.FORGED_STRANGERS,
    floods.SYNS,
    floods.FTP_SYNS,
    floods.LATER_FRAGMENTS,
    floods.ARP_QUESTIONS,
)
_OUTSIDE = (floods.RANDOM_ESP, floods.LATER_FRAGMENTS, floods.SYNS, floods.ARP_QUESTIONS)


def _answered() -> int:
    return flows.answered("inside1", ADDRESSES["outside1"], _PORT, _ASKED)


def _floods(host: str, target: str, kinds: tuple[str, ...]) -> list[str]:
    if _answered() < _ASKED:
        raise Vacuous("new flows of inside1 are not even answered without a flood")
    through: list[str] = []
    for kind in kinds:
        with floods.flood(kind, host, target, _RATE):
            good = _answered()
        if good < 0.9 * _ASKED:
            through.append(f"{kind}: {good} of {_ASKED} new flows of inside1 were answered")
    return through


def from_inside(world: World) -> list[str]:
    """2000 packets a second: forged sources, SYNs, later fragments, ARP questions."""
    flows.serve("outside1", _PORT)
    return _floods("inside2", ADDRESSES["outside1"], _INSIDE)


def from_outside(world: World) -> list[str]:
    """2000 packets a second: ESP with random SPIs, later fragments, SYNs, ARP questions."""
    return _floods("outside2", SERVER_OUTSIDE, _OUTSIDE)


def sip_transactions(world: World) -> list[str]:
    """Four thousand INVITEs of one host and three addresses that it claims, all different."""
    goal = ADDRESSES["outside1"]
    with ExitStack() as stack:
        phone, server = (stack.enter_context(wire.udp(h, 2.0)) for h in ("inside1", "outside1"))
        phone.bind(("", _SIP))
        server.bind(("", _SIP))
        stack.enter_context(_answering(server, _busy))
        if _calls(phone) < _CALLS:
            raise Vacuous("not even without the attack are calls of inside1 answered")
        attacker = stack.enter_context(Raw("inside2"))
        sources = (ADDRESSES["inside2"], "10.0.0.61", "10.0.0.62", "10.0.0.63")
        for source in sources:
            attacker.claim(source)
        before = world.counter("alg.sip.client.messages")
        for number in range(_FORGED):
            source = sources[number % len(sources)]
            payload = datagram(source, goal, (_SIP, _SIP), _invite(source, "attacker"))
            attacker.send(source, goal, UDP, payload)
        good = _calls(phone)
        if world.counter("alg.sip.client.messages") - before < len(sources) + good:
            raise Vacuous("the ALG has read nothing of the attack")
    return [f"{good} of {_CALLS} calls of inside1 were answered"] if good < _CALLS * 0.9 else []


def fragments(world: World) -> list[str]:
    """Later fragments of nothing, and 300 honest datagrams of 8 KB: others' fragments arrive."""
    through: list[str] = []
    with ExitStack() as stack:
        asker, echo, sink = (
            stack.enter_context(wire.udp(host, 1.0)) for host in ("inside1", "outside1", "inside1")
        )
        echo.bind(("", _PORT + 1))
        sink.bind(("", 7000))
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
        stack.enter_context(_answering(echo, lambda data: data))
        if _large(asker) < _LARGE:
            raise Vacuous("not even without the attack does a datagram of 3 KB come and go")
        with floods.flood(floods.LATER_FRAGMENTS, "outside2", SERVER_OUTSIDE, _RATE):
            good = _large(asker)
        if good < 0.9 * _LARGE:
            through.append(f"{good} of {_LARGE} datagrams of 3 KB were answered in the flood")
        sender = stack.enter_context(wire.udp("outside2"))
        for number in range(_MANY):
            sender.sendto(number.to_bytes(2) + bytes(8000), (SERVER_OUTSIDE, 7000))
            time.sleep(_PACE)
        came = len(_received(sink))
        if came < 0.9 * _MANY:
            through.append(f"{came} of {_MANY} datagrams of 8 KB of one sender arrived")
        good = _large(asker)
        if good < 0.9 * _LARGE:
            through.append(f"{good} of {_LARGE} datagrams of 3 KB were answered after them")
    return through


@contextmanager
def _answering(link: socket.socket, reply: Callable[[bytes], bytes | None]) -> Iterator[None]:
    """Answer what a socket gets while in the context."""
    over = threading.Event()

    def serve() -> None:
        link.settimeout(0.1)
        while not over.is_set():
            try:
                data, peer = link.recvfrom(65535)
            except TimeoutError:
                continue
            answer = reply(data)
            if answer is not None:
                link.sendto(answer, peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _large(asker: socket.socket) -> int:
    """How many datagrams of 3000 bytes go to outside1 and come back."""
    good = 0
    for _ in range(_LARGE):
        data = random.randbytes(3000)
        asker.sendto(data, (ADDRESSES["outside1"], _PORT + 1))
        try:
            heard = asker.recv(65535)
            while heard[:16] != data[:16]:  # An answer that came too late.
                heard = asker.recv(65535)
        except TimeoutError:
            continue
        good += heard == data
    return good


def _received(sink: socket.socket) -> set[bytes]:
    found: set[bytes] = set()
    while True:
        try:
            found.add(sink.recv(65535)[:2])
        except TimeoutError:
            return found


def _calls(phone: socket.socket) -> int:
    """How many new calls of inside1 are answered by the SIP server outside."""
    good = 0
    for _ in range(_CALLS):
        phone.sendto(_invite(ADDRESSES["inside1"]), (ADDRESSES["outside1"], _SIP))
        try:
            good += phone.recv(65535).startswith(b"SIP/2.0 486 ")
        except TimeoutError:
            continue
    return good


def _invite(source: str, caller: str = _HONEST) -> bytes:
    unique, goal = random.getrandbits(60), ADDRESSES["outside1"]
    return (
        f"INVITE sip:b@{goal} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {source}:{_SIP};branch=z9hG4bK{unique:x}\r\n"
        f"From: <sip:{caller}@{source}>;tag=1\r\nTo: <sip:b@{goal}>\r\n"
        f"Call-ID: {unique:x}@{source}\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
        f"Contact: <sip:a@{source}>\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def _busy(request: bytes) -> bytes | None:
    """The answer to a call of the honest caller; others wait for theirs for ever."""
    if _HONEST.encode() not in request:
        return None
    lines = request.split(b"\r\n")
    kept = (b"via:", b"from:", b"to:", b"call-id:", b"cseq:")
    heads = [line for line in lines if line.lower().startswith(kept)]
    heads = [line + b";tag=2" if line.lower().startswith(b"to:") else line for line in heads]
    return b"\r\n".join((b"SIP/2.0 486 Busy Here", *heads, b"Content-Length: 0", b"", b""))


ATTACKS = [
    Attack(3, "starvation from inside", "inside host", from_inside),
    Attack(3, "starvation from outside", "outside host", from_outside),
    Attack(3, "SIP transactions", "inside host", sip_transactions),
    Attack(3, "fragments of nothing", "outside host", fragments),
]
