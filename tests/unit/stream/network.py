"""Two TCP endpoints, a network that does anything to segments, and the switch between them.

The switch is the data plane as far as it matters here: it hands segments with
data, SYN, FIN or RST to a `StreamFollower` and corrects pure acknowledgements
with the shifts that were written, as table `sequence` does.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from p4alg.alg.contract import (
    TCP,
    Detach,
    Edit,
    Endpoint,
    Forward,
    Gateway,
    Peer,
    Refuse,
    SessionFacts,
    Step,
    StreamAlg,
)
from p4alg.packet.checksum import transport_checksum
from p4alg.packet.ipv4 import build_ipv4, parse_ipv4
from p4alg.packet.tcp import ACK, FIN, RST, SYN, parse_tcp, replace_tcp
from p4alg.stream.effects import Barrier, Closed, Detached, Dropped, Effect, Seen, Send, Shift
from p4alg.stream.numbers import offset_of, wire
from p4alg.stream.reassembly import Reassembly
from p4alg.stream.tcp import StreamFollower, StreamLimits
from tests.unit.alg.gateway import OUTSIDE, SessionGateway

ADDRS = {Peer.CLIENT: 0x0A00000B, Peer.SERVER: 0xC633640B}
PORTS = {Peer.CLIENT: 40000, Peer.SERVER: 21}
MACS = (0x020000000001, 0x020000000002)
LIMITS = StreamLimits(message=2048, stream=65536)


def a_gateway() -> SessionGateway:
    """The gateway of the connection; the toy ALGs ask it for nothing."""
    client, server = (Endpoint(ADDRS[peer], PORTS[peer]) for peer in (Peer.CLIENT, Peer.SERVER))
    seen = Endpoint(OUTSIDE, client.port)
    return SessionGateway(SessionFacts(TCP, client, server, Peer.CLIENT, seen))


TURNED_AWAY = {b"A": b"answer\n", b"Q": b""}
"""What the sender of a line that begins so is told by the toy ALG; the line goes nowhere."""


class LineAlg:
    """A protocol of lines: ``+N...`` grows by N bytes, ``-...`` loses its second half,
    ``P...`` opens a pinhole and grows, ``X...`` is refused, ``A...`` is refused and answered,
    ``Q...`` is dropped in silence, ``D...`` detaches."""

    def feed(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        steps: list[Step] = []
        for line in data.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            if line[:1] == b"D":
                steps.append(Detach("asked"))
                break
            if line[:1] == b"X":
                steps.append(Refuse(len(line), "forbidden"))
                continue
            if line[:1] in TURNED_AWAY:
                steps.append(Refuse(len(line), "asked", answer=TURNED_AWAY[line[:1]]))
                continue
            new = edited(line)
            edits = (Edit(0, len(line), new),) if new != line else ()
            steps.append(Forward(len(line), edits, grants=(7,) if line[:1] == b"P" else ()))
        return steps


def edited(line: bytes) -> bytes:
    """What the toy ALG makes of a complete line."""
    if line[:1] in TURNED_AWAY:
        return b""
    if line[:1] == b"+" and line[1:2].isdigit():
        return b"+" * int(line[1:2]) + line
    if line[:1] == b"-":
        return line[: len(line) // 2].rstrip(b"\n") + b"\n"
    if line[:1] == b"P":
        return b"P=" + line
    return line


def edited_stream(data: bytes) -> bytes:
    """What the peer should get of a whole stream; an incomplete last line is left as it is."""
    return b"".join(
        edited(line) if line.endswith(b"\n") else line for line in data.splitlines(keepends=True)
    )


@dataclass
class End:
    """An endpoint that sends `stream` and then a FIN."""

    peer: Peer
    isn: int
    stream: bytes
    mss: int = 1460
    una: int = 0
    nxt: int = 0
    got: bytearray = field(default_factory=bytearray)
    peer_isn: int | None = None
    fin_at: int | None = None
    fin_got: bool = False
    reset: bool = False
    options: bytes = b""

    def __post_init__(self) -> None:
        self.assembly = Reassembly(1 << 20)
        self.options = self.options or b"\x02\x04" + self.mss.to_bytes(2, "big") + b"\x04\x02\1\1"

    @property
    def end(self) -> int:
        """Offset just after the last byte."""
        return 1 + len(self.stream)

    @property
    def is_done(self) -> bool:
        """Whether all of it and the FIN are acknowledged."""
        return self.una == self.end + 1

    @property
    def ack(self) -> int:
        received = self.assembly.next + (1 if self.fin_got else 0)
        return wire(self.peer_isn or 0, received)

    def frame(self, flags: int, offset: int, payload: bytes = b"", options: bytes = b"") -> bytes:
        other = self.peer.other
        head = (
            PORTS[self.peer].to_bytes(2, "big")
            + PORTS[other].to_bytes(2, "big")
            + wire(self.isn, offset).to_bytes(4, "big")
            + (self.ack if flags & ACK else 0).to_bytes(4, "big")
            + bytes([5 + len(options) // 4 << 4, flags])
            + b"\xff\xff\0\0\0\0"
        )
        body = head + options + payload
        check = transport_checksum(ADDRS[self.peer], ADDRS[other], 6, body)
        body = body[:16] + check.to_bytes(2, "big") + body[18:]
        return build_ipv4(MACS, 0, ADDRS[self.peer], ADDRS[other], 6, body)

    def syn(self) -> bytes:
        self.nxt = max(self.nxt, 1)
        flags = SYN if self.peer_isn is None else SYN | ACK
        return self.frame(flags, 0, options=self.options)

    def send(self, start: int, size: int) -> bytes:
        """Bytes from offset `start` on; with the FIN if they reach the end."""
        part = self.stream[start - 1 : start - 1 + size]
        fin = start - 1 + len(part) == len(self.stream)
        self.nxt = max(self.nxt, start + len(part) + (1 if fin else 0))
        return self.frame(ACK | (FIN if fin else 0), start, part)

    def receive(self, frame: bytes) -> list[bytes]:
        """Take a frame; what is answered at once."""
        packet = parse_ipv4(frame)
        tcp = parse_tcp(packet)
        pseudo = transport_checksum(packet.src, packet.dst, 6, blank(packet.payload))
        assert pseudo.to_bytes(2, "big") == packet.payload[16:18], "checksum"
        if tcp.flags & RST:
            expected = offset_of(self.peer_isn or 0, tcp.seq, self.assembly.next)
            assert expected == self.assembly.next + (1 if self.fin_got else 0), "RST not exact"
            self.reset = True
            return []
        if tcp.flags & SYN:
            assert not sack_permitted(packet.payload[20 : tcp.header_len])
            if self.peer_isn is None:
                self.peer_isn = tcp.seq
                self.assembly.next = 1
        if self.peer_isn is None:
            return []
        if tcp.flags & ACK:
            acked = offset_of(self.isn, tcp.ack, self.una)
            assert acked <= self.nxt, "acknowledged what was never sent"
            self.una = max(self.una, acked)
        if tcp.flags & SYN:
            return [self.frame(ACK, self.nxt)] if tcp.flags & ACK else []
        start = offset_of(self.peer_isn, tcp.seq, self.assembly.next)
        assert len(tcp.payload) <= self.mss
        data, _ = self.assembly.add(start, tcp.payload)
        self.got += data
        if tcp.flags & FIN:
            self.fin_at = start + len(tcp.payload)
        if self.fin_at == self.assembly.next:
            self.fin_got = True
        # A pure acknowledgement is not answered, unless it is out of the window.
        # (RFC 9293 section 3.10.7.4); a FIN that was received has a number too.
        expected = self.assembly.next + (1 if self.fin_got else 0)
        if not tcp.payload and not tcp.flags & FIN and start >= expected:
            return []
        return [self.frame(ACK, self.nxt)]


def blank(segment: bytes) -> bytes:
    return segment[:16] + b"\0\0" + segment[18:]


def sack_permitted(options: bytes) -> bool:
    at = 0
    while at < len(options) and options[at]:
        if options[at] == 4:
            return True
        at += 1 if options[at] == 1 else options[at + 1]
    return False


class Switch:
    """Hands frames to the stream or corrects them; barriers wait for `write_tables`."""

    def __init__(self, stream: StreamFollower) -> None:
        self.stream = stream
        self.shifts = {peer: Shift(0, 0, 0) for peer in Peer}
        self.isns: dict[Peer, int] = {}
        self.waiting: Barrier | None = None
        self.seen: list[Seen] = []
        self.dropped: Counter[str] = Counter()
        self.ended: list[Closed | Detached] = []

    def packet(self, frame: bytes) -> list[bytes]:
        tcp = parse_tcp(parse_ipv4(frame))
        sender = sender_of(frame)
        if tcp.payload or tcp.flags & (SYN | FIN | RST):
            return self._do(self.stream.packet(sender, 1, frame, a_gateway(), 0.0))
        return [self._corrected(sender, frame)]

    def write_tables(self, ok: bool = True) -> list[bytes]:
        """The barrier's entries are acknowledged, or refused."""
        barrier, self.waiting = self.waiting, None
        assert barrier is not None
        out: list[bytes] = []
        if ok:
            self.shifts = {peer: self.stream.shift(peer) for peer in Peer}
            out = [segment.frame for segment in barrier.segments]
        return out + self._do(self.stream.resume(ok, a_gateway(), 0.0))

    def detach(self) -> list[bytes]:
        return self._do(self.stream.detach("test", 0.0))

    def _do(self, effects: list[Effect]) -> list[bytes]:
        out: list[bytes] = []
        for effect in effects:
            assert effect is effects[-1] or not isinstance(effect, Barrier)
            match effect:
                case Send():
                    out += [segment.frame for segment in effect.segments]
                case Barrier():
                    self.waiting = effect
                case Seen():
                    self.seen.append(effect)
                case Dropped():
                    self.dropped[effect.reason] += 1
                case Closed() | Detached():
                    self.ended.append(effect)
        return out

    def _corrected(self, sender: Peer, frame: bytes) -> bytes:
        """What table `sequence` makes of a pure acknowledgement (p4src/v1model/sequence.p4)."""
        packet = parse_ipv4(frame)
        tcp = parse_tcp(packet)
        own, other = self.shifts[sender], self.shifts[sender.other]
        behind = (tcp.seq - own.position) % (1 << 32) < 1 << 31
        seq = tcp.seq + (own.after if behind else own.before)
        behind = (tcp.ack - other.after - other.position) % (1 << 32) < 1 << 31
        ack = tcp.ack - (other.after if behind else other.before)
        whole = 1 << 32
        return replace_tcp(packet, seq=seq % whole, ack=ack % whole, flags=tcp.flags, payload=b"")


def sender_of(frame: bytes) -> Peer:
    return Peer.CLIENT if parse_ipv4(frame).src == ADDRS[Peer.CLIENT] else Peer.SERVER


class Connection:
    """Both ends, the switch, and frames on their way to and from it."""

    def __init__(
        self,
        client: bytes,
        server: bytes,
        alg: StreamAlg | None = None,
        limits: StreamLimits = LIMITS,
        isns: tuple[int, int] = (7, 9),
        mss: int = 1460,
    ) -> None:
        self.ends = {
            Peer.CLIENT: End(Peer.CLIENT, isns[0], client, mss),
            Peer.SERVER: End(Peer.SERVER, isns[1], server, mss),
        }
        self.switch = Switch(StreamFollower(alg or LineAlg(), limits))
        self.to_switch: list[bytes] = []
        self.from_switch: list[bytes] = []

    def handshake(self) -> None:
        self.to_switch.append(self.ends[Peer.CLIENT].syn())
        self.settle()
        self.to_switch.append(self.ends[Peer.SERVER].syn())
        self.settle()

    def settle(self) -> None:
        """Deliver everything, in order and without loss."""
        for _ in range(10000):
            if self.to_switch:
                self.from_switch += self.switch.packet(self.to_switch.pop(0))
            elif self.switch.waiting is not None:
                self.from_switch += self.switch.write_tables()
            elif self.from_switch:
                self.arrive(0)
            else:
                return
        raise AssertionError("the connection never comes to rest")

    def arrive(self, index: int) -> None:
        frame = self.from_switch.pop(index)
        self.to_switch += self.ends[sender_of(frame).other].receive(frame)

    def misbehave(self, rng: random.Random, steps: int, biggest: int) -> None:
        """Send, repeat, reorder, double and lose at random."""
        for _ in range(steps):
            end = self.ends[rng.choice(list(Peer))]
            size = rng.randint(1, biggest)
            match rng.randrange(8):
                case 0 | 1 | 2 if end.nxt < end.end:
                    self.to_switch.append(end.send(max(end.nxt, 1), size))
                case 3 if end.nxt > 1 and not end.is_done:
                    start = rng.randint(max(1, end.una), max(1, end.nxt))
                    self.to_switch.append(end.send(min(start, end.end), size))
                case 4 | 5 if self.to_switch:
                    index = rng.randrange(len(self.to_switch))
                    copy = self.to_switch[index]
                    fate = rng.random()
                    if fate < 0.8:
                        del self.to_switch[index]
                    if fate > 0.15:
                        self.from_switch += self.switch.packet(copy)
                case 6 if self.from_switch:
                    index = rng.randrange(len(self.from_switch))
                    if rng.random() < 0.2:
                        del self.from_switch[index]
                    else:
                        self.arrive(index)
                case 7 if self.switch.waiting is not None:
                    self.from_switch += self.switch.write_tables()

    def finish(self, rng: random.Random, biggest: int) -> None:
        """The network is good from now on; both ends repeat what is not acknowledged."""
        self.settle()
        for _ in range(3000):
            busy = [end for end in self.ends.values() if not end.is_done and not end.reset]
            if not busy:
                return
            for end in busy:
                start = min(max(end.una, 1), end.end)
                self.to_switch.append(end.send(start, rng.randint(1, biggest)))
                self.settle()
        raise AssertionError("the connection never finishes")


def carried(connection: Connection) -> None:
    """Assert that both ends got what the ALG made of the other's stream, and ended."""
    ends = connection.ends
    for peer in Peer:
        assert bytes(ends[peer.other].got) == edited_stream(ends[peer].stream)
        assert ends[peer].is_done
        assert ends[peer].fin_got


def started(
    client: bytes = b"",
    server: bytes = b"",
    *,
    alg: StreamAlg | None = None,
    limits: StreamLimits = LIMITS,
    isns: tuple[int, int] = (7, 9),
) -> Connection:
    """A connection whose handshake is done."""
    connection = Connection(client, server, alg, limits, isns)
    connection.handshake()
    return connection


def push(connection: Connection, peer: Peer, data: bytes) -> list[bytes]:
    """`peer` sends `data` next; what the switch sends on."""
    end = connection.ends[peer]
    start = max(end.nxt, 1)
    end.nxt = start + len(data)
    return connection.switch.packet(end.frame(ACK, start, data))


def payloads(frames: list[bytes]) -> list[tuple[int, bytes]]:
    """The source address and the data of each frame."""
    return [(p.src, parse_tcp(p).payload) for p in map(parse_ipv4, frames)]
