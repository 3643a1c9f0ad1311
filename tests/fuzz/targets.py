"""Functions of any bytes, which raise when an invariant breaks. See `invariants`.

An input is raw: nothing of a protocol is built for it, so that nested lengths, parts of multipart
bodies, encodings and ends of lines break as they like. Only who says what is marked, by `SEP` and
the lowest bit of the byte behind it; else every input would be a single message.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from p4alg.alg.contract import Peer
from p4alg.alg.registry import algs
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.settings import AlgSettings, PortSpan
from p4alg.packet.arp import parse_arp
from p4alg.packet.errors import PacketError
from p4alg.packet.ethernet import parse_ethernet
from p4alg.packet.icmp import parse_icmp
from p4alg.packet.ipv4 import allow_fragments, fragment_ipv4, parse_ipv4
from p4alg.packet.tcp import mss_option, parse_tcp, replace_tcp, sanitised_syn, window_scale
from p4alg.packet.transport import transport_ids
from p4alg.packet.udp import parse_udp
from p4alg.protocols import UDP
from tests.fuzz import faults
from tests.fuzz.invariants import check, check_frame
from tests.unit.engine.dialogue import Dialogue
from tests.unit.engine.harness import (
    IN_PORT,
    INSIDE,
    OUT_PORT,
    REMOTE,
    Bench,
    datagram,
)

SEP = b"\x1e\x1f"
SIZES = (1460, 1, 7, 536)
_CLIENT_PORT = 40000
_FTP = 1
Target = Callable[[bytes], None]


def bench(protocol: str) -> Bench:
    """An engine with one ALG, on its usual ports."""
    alg = algs()[protocol]
    return Bench(
        services={protocol: tuple(PortSpan(p, port, port) for p, port in alg.services)},
        algs=(AlgSettings(alg, True, (protocol,)),),
        filter_mode=t.FilterMode.ENDPOINT_INDEPENDENT,
    )


def sayings(data: bytes) -> list[tuple[Peer, bytes]]:
    """Who says what: by the lowest bit of its first byte, the client or the server."""
    found = []
    for part in data.split(SEP)[:32]:
        if len(part) > 1:
            found.append((Peer.SERVER if part[0] & 1 else Peer.CLIENT, part[1:]))
    return found


def stream_of(protocol: str) -> Target:
    """A TCP control connection of an ALG. The first byte says which end is inside, and how cut."""

    def target(data: bytes) -> None:
        if not data:
            return
        made = bench(protocol)
        inside = Peer.SERVER if data[0] & 1 else Peer.CLIENT
        talk = Dialogue(made, inside, algs()[protocol].alg_id)
        for who, said in sayings(data[1:4096]):
            session = made.sessions().get(talk.key)
            if session is None or session.alg_id == 0:
                # Plain NAT from now on: the switch sends no more of it to the controller.
                break
            talk.say(who, said, SIZES[data[0] >> 1 & 3])
        for frame in talk.outputs:
            check_frame(frame)
        made.tick(1.0)
        check(made)

    return target


def datagrams_of(protocol: str, port: int) -> Target:
    """A flow of UDP datagrams on the port of an ALG."""
    number = algs()[protocol].alg_id

    def target(data: bytes) -> None:
        made, begun = bench(protocol), False
        for who, said in sayings(data[:4096]):
            if who is Peer.CLIENT:
                frame = datagram(INSIDE, _CLIENT_PORT, REMOTE, port, said)
                if begun:
                    outs = made.punt(ev.Reason.ALG, frame, IN_PORT, number)
                else:
                    outs = made.new(frame, IN_PORT, number)
                begun = True
            elif begun:
                bindings = made.show("bindings")
                own = [r for r in bindings if r["inside"].endswith(f":{_CLIENT_PORT}")]
                if not own:
                    return
                seen = made.outside_of(UDP, INSIDE, _CLIENT_PORT)
                frame = datagram(REMOTE, port, *seen, said)
                outs = made.punt(ev.Reason.ALG, frame, OUT_PORT, number)
            else:
                continue
            for out in outs:
                check_frame(out.frame)
        made.tick(1.0)
        check(made)

    return target


def segments(data: bytes) -> None:
    """Segments with any numbers, flags and bytes in an FTP control connection that has begun."""
    made = bench("ftp")
    talk = Dialogue(made)
    talk.server(b"220 ready\r\n")
    talk.client(b"USER a\r\n")
    for part in data[:4096].split(SEP)[:48]:
        if len(part) < 6:
            continue
        who = Peer.SERVER if part[0] & 1 else Peer.CLIENT
        end = talk.ends[who]
        shift, acked = (int.from_bytes(part[n : n + 2], signed=True) for n in (2, 4))
        frame = end.frame(part[1] & 0x3F, max(end.nxt, 1) + shift, part[6:])
        if acked:
            made_up = parse_tcp(parse_ipv4(frame))
            frame = replace_tcp(
                parse_ipv4(frame),
                seq=made_up.seq,
                ack=(made_up.ack + acked) % 2**32,
                flags=made_up.flags,
                payload=made_up.payload,
            )
        frame = talk.addressed(who, frame)
        if not shift:
            end.nxt = max(end.nxt, 1) + len(part[6:])
        port = IN_PORT if who is Peer.CLIENT else OUT_PORT
        for out in made.punt(ev.Reason.ALG, frame, port, _FTP):
            check_frame(out.frame)
    made.tick(1.0)
    check(made)


def frames(data: bytes) -> None:
    """What parses frames takes any bytes: it refuses them by `PacketError`, and by nothing else."""
    for parser in (parse_ethernet, parse_arp):
        _refusable(parser, data)
    try:
        packet = parse_ipv4(data)
    except PacketError:
        return
    readers: tuple[Callable[..., object], ...] = (
        parse_tcp, mss_option, window_scale, sanitised_syn, allow_fragments, transport_ids,
        parse_icmp, parse_udp,
    )  # fmt: skip
    for reader in readers:
        _refusable(reader, packet)
    for mtu in (0, 68, 576):
        _refusable(lambda whole, size=mtu: fragment_ipv4(whole, size), packet)


def punts(data: bytes) -> None:
    """The engine gets any frames for any reason, with and without an Ethernet header of ours."""
    made = Bench()
    reasons = list(ev.Reason)
    for part in data[:4096].split(SEP)[:32]:
        if len(part) < 3:
            continue
        frame = part[3:]
        port = (IN_PORT, OUT_PORT, 2, part[1])[part[1] & 3]
        made.introduces = bool(part[2] & 0x80)
        for out in made.punt(reasons[part[0] % len(reasons)], frame, port, part[2] & 7):
            assert out.frame
        made.tick(part[1] / 16)
    shown = made.show("counters")
    assert not {name: n for name, n in shown.items() if "fault" in name}, [
        log.text for log in made.logs
    ]


def engine(data: bytes) -> None:
    """Traffic of all kinds while writes, digests, the switch and the clock go wrong."""
    faults.play(data[:2048], random.Random(1))


def everything(data: bytes) -> None:
    """One of the others, as the first byte says."""
    if data:
        others = [target for name, target in TARGETS.items() if name != "all"]
        others[data[0] % len(others)](data[1:])


def _refusable(parser: Callable[..., object], data: object) -> None:
    try:
        parser(data)
    except PacketError:
        return


TARGETS: dict[str, Target] = {
    "ftp": stream_of("ftp"),
    "sip-tcp": stream_of("sip"),
    "sip-udp": datagrams_of("sip", 5060),
    "rtsp": stream_of("rtsp"),
    "pptp": stream_of("pptp"),
    "tftp": datagrams_of("tftp", 69),
    "ike": datagrams_of("ike", 500),
    "stream": segments,
    "frames": frames,
    "punts": punts,
    "engine": engine,
    "all": everything,
}
