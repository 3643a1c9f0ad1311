"""An inside host that wants another's ESP: two hosts behind one gateway, one remote."""

from __future__ import annotations

import random
import socket
import struct
import time
from contextlib import ExitStack

from attacks import wire
from attacks.table import Attack, Vacuous, World
from attacks.wire import ADDRESSES, Raw
from p4alg.protocols import ESP

_IKE = 500
_INIT, _AUTH, _CHILD = 34, 35, 36
_REMOTE = ADDRESSES["outside1"]


def _message(initiator: int, responder: int, kind: int, number: int, answer: bool) -> bytes:
    flags = 0x20 if answer else 0x08
    body = random.randbytes(52)
    head = struct.pack(
        ">QQ4B2I", initiator, responder, 33, 0x20, kind, flags, number, 28 + len(body)
    )
    return head + body


def _esp(spi: int) -> bytes:
    return struct.pack(">II", spi, 1) + random.randbytes(56)


def theft(world: World) -> list[str]:
    """One IKE_SA_INIT and one ESP packet of another host, to get the remote's next SPI."""
    with ExitStack() as stack:
        links = {}
        for host in ("inside1", "inside2", "outside1"):
            links[host] = stack.enter_context(wire.udp(host, 1.0))
            links[host].bind(("", _IKE))
        victim, thief, remote = (
            stack.enter_context(Raw(host)) for host in ("inside1", "inside2", "outside1")
        )
        own, spi = random.getrandbits(60) + 1, random.getrandbits(60) + 1
        seen_as = _exchange(links, own, spi, (_INIT, _AUTH))
        first, answer, rekeyed, stolen = (0x10000 + random.getrandbits(28) for _ in range(4))
        victim.send(ADDRESSES["inside1"], _REMOTE, ESP, _esp(first))
        if not remote.seen(_has(first)):
            raise Vacuous("not even the ESP of a host that has keyed goes out")
        remote.send(_REMOTE, seen_as, ESP, _esp(answer))
        if not victim.seen(_has(answer)):
            raise Vacuous("not even the answer to it comes in")
        through: list[str] = []
        # The thief speaks up before the victim rekeys, and after it.
        for number, order in enumerate((("theft", "rekey"), ("rekey", "theft"))):
            for step in order:
                if step == "rekey":
                    _exchange(links, own, spi, (_CHILD,), 2 + number)
                    continue
                # The remote answers whoever greets it: nobody is authenticated by that.
                cookie = random.getrandbits(60) + 1
                _exchange(links, cookie, random.getrandbits(60) + 1, (_INIT,), host="inside2")
                thief.send(ADDRESSES["inside2"], _REMOTE, ESP, _esp(stolen + number))
                time.sleep(0.2)
            remote.send(_REMOTE, seen_as, ESP, _esp(rekeyed + number))
            if thief.seen(_has(rekeyed + number), 1.0):
                through.append(f"the remote's next SPI went to the other host ({order[0]} first)")
    return through


def _has(spi: int):  # type: ignore[no-untyped-def]
    return lambda packet: packet[9] == ESP and packet[20:24] == spi.to_bytes(4)


def _exchange(
    links: dict[str, socket.socket],
    own: int,
    spi: int,
    kinds: tuple[int, ...],
    number: int = 0,
    host: str = "inside1",
) -> str:
    """Messages of a host with their answers; the address that the remote sees."""
    seen = ""
    for at, kind in enumerate(kinds):
        begin = kind == _INIT
        message = _message(own, 0 if begin else spi, kind, number + at, False)
        links[host].sendto(message, (_REMOTE, _IKE))
        try:
            heard = b""
            while heard[:8] != own.to_bytes(8):  # Another host's may be there too.
                heard, back = links["outside1"].recvfrom(4096)
            links["outside1"].sendto(_message(own, spi, kind, number + at, True), back)
            links[host].recvfrom(4096)
        except TimeoutError:
            raise Vacuous("not even IKE of an inside host is answered") from None
        seen = back[0]
    return seen


ATTACKS = [Attack(6, "theft of ESP", "inside host", theft)]
