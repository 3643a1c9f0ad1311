"""Packets whose source is not the sender's, and what a fragment hides."""

from __future__ import annotations

import time

from attacks import wire
from attacks.table import Attack, NotHere, Vacuous, World
from attacks.wire import ADDRESSES, SERVER_OUTSIDE, Raw, datagram, segment
from p4alg.protocols import ESP, GRE, TCP, UDP

_MARK = b"forged-by-attacker"
_PORT = 7000
_LOOSE_ROUTE = bytes((131, 7, 4, 10, 0, 0, 12, 0))
"""The option "loose source route" (RFC 791), padded."""


def _arrives(sender: Raw, receiver: Raw, src: str, dst: str, **how: object) -> bool:
    data = _MARK + bytes(8)
    payload = datagram(src, dst, (4444, _PORT), data)
    sender.send(src, dst, UDP, payload, **how)  # type: ignore[arg-type]
    return bool(receiver.seen(lambda packet: _MARK in packet, 0.3))


def _check_control(sender: Raw, receiver: Raw, dst: str) -> None:
    wire.ping(sender.host, "10.0.0.1" if sender.host.startswith("inside") else "198.51.100.1")
    own = ADDRESSES[sender.host]
    if not any(_arrives(sender, receiver, own, dst) for _ in range(3)):
        raise Vacuous(f"not even an honest datagram from {own} to {dst} arrives")


def from_outside(world: World) -> list[str]:
    """Datagrams to a server inside: impossible sources, source routes, broadcast MAC."""
    with Raw("outside2") as sender, Raw("inside1") as receiver:
        _check_control(sender, receiver, SERVER_OUTSIDE)
        forged = ("10.0.0.12", "10.0.0.1", "127.0.0.1", "203.0.113.5", "198.51.100.1", "0.0.0.0",
                  "255.255.255.255", "224.0.0.1")  # fmt: skip
        through = [
            f"a datagram from {src} reached inside1"
            for src in forged
            if _arrives(sender, receiver, src, SERVER_OUTSIDE)
        ]
        own = ADDRESSES["outside2"]
        if _arrives(sender, receiver, own, SERVER_OUTSIDE, options=_LOOSE_ROUTE):
            through.append("a datagram with a source route reached inside1")
        if _arrives(sender, receiver, own, SERVER_OUTSIDE, broadcast=True):
            through.append("a datagram to the broadcast MAC address was forwarded")
    return through


def from_inside(world: World) -> list[str]:
    """Datagrams outwards from foreign addresses, loopback, the gateway's own, an absent host's."""
    goal = ADDRESSES["outside1"]
    with Raw("inside2") as sender, Raw("outside1") as receiver:
        _check_control(sender, receiver, goal)
        return [
            f"a datagram from {src} was translated"
            for src in ("192.0.2.7", "127.0.0.1", "10.0.0.1", "203.0.113.5", "10.0.0.77")
            if _arrives(sender, receiver, src, goal)
        ]


def half_open(world: World) -> list[str]:
    """A SYN and a bare ACK without the server's answer, for an entry that lives two hours."""
    own, goal = ADDRESSES["inside2"], "198.51.100.200"
    with Raw("inside2") as sender, Raw("outside2") as absorber:
        wire.ping("inside2", "10.0.0.1")
        # The first ones also make the gateway learn where the host and its goal are.
        for flags in (wire.SYN, wire.SYN, wire.SYN, wire.SYN, wire.ACK):
            ends = (own, goal, (4321, 7777))
            sender.send(own, goal, TCP, segment(*ends, flags, 100 + flags // 16, 7))
            time.sleep(0.2)
            absorber.claim(goal)
            time.sleep(0.2)
    shown = world.client.call("show", what="sessions", plain=True)
    rows = [row for row in shown["rows"] if "7777" in str(row)]
    if not shown["plain_flows"]:
        raise NotHere("BMv2 does not let the registers be read that keep plain flows")
    if not rows:
        raise Vacuous("not even a SYN makes an entry")
    return [f"it counts as established: {row}" for row in rows if row.get("state") == "established"]


def fragments(world: World) -> list[str]:
    """First fragments past a deny rule, of ESP without IKE, GRE without a call, TCP without SYN."""
    through: list[str] = []
    with Raw("inside2") as inside, Raw("outside1") as outside:
        _check_control(inside, outside, ADDRESSES["outside1"])
        own, goal = ADDRESSES["inside2"], ADDRESSES["outside1"]
        tail = _MARK.ljust(64, b"\0")
        for name, proto, payload in (
            ("a denied port", UDP, datagram(own, goal, (4444, 9999), tail)),
            ("ESP without IKE", ESP, b"\0\0\x33\x44\0\0\0\1" + tail),
            ("GRE without a call", GRE, b"\x30\x81\x88\x0b\0\x40\0\x09\0\0\0\1" + tail[:52]),
            ("TCP without a SYN", TCP, segment(own, goal, (4444, 7001), wire.ACK, 5, 5, tail[:60])),
        ):
            inside.send(own, goal, proto, payload[: len(payload) // 8 * 8], more=0)
            inside.send(own, goal, proto, payload[: len(payload) // 8 * 8])
            if outside.seen(lambda packet: _MARK in packet, 0.5):
                through.append(f"{name} went out")
    with Raw("outside2") as outside, Raw("inside1") as inside:
        own = ADDRESSES["outside2"]
        _check_control(outside, inside, SERVER_OUTSIDE)
        tail = _MARK.ljust(64, b"\0")
        for name, proto, payload in (
            ("ESP without IKE", ESP, b"\0\0\x33\x55\0\0\0\1" + tail),
            ("GRE without a call", GRE, b"\x30\x81\x88\x0b\0\x40\0\x09\0\0\0\1" + tail[:52]),
            ("TCP without a SYN", TCP,
             segment(own, SERVER_OUTSIDE, (4444, _PORT), wire.ACK, 5, 5, tail[:60])),
        ):  # fmt: skip
            for more in (0, None):
                outside.send(
                    own, SERVER_OUTSIDE, proto, payload[: len(payload) // 8 * 8], more=more
                )
            if inside.seen(lambda packet: _MARK in packet, 0.5):
                through.append(f"{name} came in")
    return through


ATTACKS = [
    Attack(2, "forged sources, inwards", "outside host", from_outside),
    Attack(2, "forged sources, outwards", "inside host", from_inside),
    Attack(2, "half-open connections", "inside host", half_open),
    Attack(5, "first fragments", "any host", fragments),
]
