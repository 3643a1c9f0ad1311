"""One direction of a followed connection: what its sender sent, and what went on to its peer."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from p4alg.alg.contract import Step
from p4alg.packet.ipv4 import Ipv4, parse_ipv4
from p4alg.packet.tcp import ACK, FIN, PSH, Tcp, replace_tcp
from p4alg.stream.history import Chunk, History
from p4alg.stream.numbers import offset_of, wire
from p4alg.stream.reassembly import Reassembly

DEFAULT_MSS = 536
"""Where a SYN announces none (RFC 9293 section 3.7.1)."""
MAX_MSS = 1460
_MAX_URGENT = 0xFFFF


@dataclass(frozen=True, slots=True)
class Segment:
    """A frame to emit at switch port `port`, with final sequence numbers."""

    port: int
    frame: bytes


@dataclass(slots=True, eq=False)
class Direction:
    """Sender S to receiver R. Offsets are `numbers` offsets of S's stream."""

    limit: int
    reassembly: Reassembly = field(init=False)
    history: History = field(init=False)
    isn: int | None = None
    taken: int = 1
    """In offset of the next byte to be sent on; from here on bytes are held."""
    held: bytearray = field(default_factory=bytearray)
    shift: int = 0
    """Out offset minus in offset of the next byte."""
    acked: int = 1
    """In offset up to which R is known to have everything."""
    promised: int = 1
    """In offset up to which we acknowledged held bytes to S."""
    told: int = 0
    """In offset of the incomplete message that was last reported as held."""
    peer_acked: int = 1
    """In offset of the other direction up to which S acknowledged."""
    steps: deque[Step] = field(default_factory=deque)
    """What the ALG decided about held bytes and is not carried out yet."""
    fin: int | None = None
    """In offset of the FIN, once one was seen."""
    finished: bool = False
    """Whether the FIN was sent on."""
    urgent: int = 0
    """In offset just after urgent data."""
    mss: int = DEFAULT_MSS
    """Largest segment S takes, from its SYN; bytes."""
    port: int = 0
    packet: Ipv4 | None = None
    """S's latest frame, on which what is sent on is modelled."""

    def __post_init__(self) -> None:
        self.reassembly = Reassembly(self.limit)
        self.history = History(self.limit)

    @property
    def received(self) -> int:
        """In offset of the next byte expected of S."""
        return self.reassembly.next

    @property
    def sent(self) -> int:
        """Out offset of the next byte R will get."""
        return self.taken + self.shift + (1 if self.finished else 0)

    def begin(self, isn: int) -> None:
        """S's SYN was seen."""
        self.isn = isn
        self.reassembly.next = 1

    def offset(self, number: int) -> int:
        """The in offset of a sequence number of S."""
        return offset_of(self.isn or 0, number, self.received)

    def out_number(self, out: int) -> int:
        """The sequence number R sees at an out offset."""
        return wire(self.isn or 0, out)

    def acknowledge(self, number: int) -> int:
        """R acknowledged the out sequence number `number`; returns the in offset it means."""
        out = min(offset_of(self.isn or 0, number, self.sent), self.sent)
        offset = self.history.in_offset(out)
        if offset > self.acked:
            self.acked = offset
            self.history.acknowledged(offset)
        return offset

    def release(self, length: int, data: bytes, *, edited: bool, fin: bool = False) -> Chunk:
        """The next `length` held bytes go on as `data`."""
        start, end = self.taken, self.taken + length
        out_start = start + self.shift
        del self.held[:length]
        self.taken = end
        whole = edited or start < self.promised or fin
        if fin:
            self.finished = True
            end += 1
        return Chunk(start, end, out_start, data, whole, fin)


def segments(sender: Direction, receiver: Direction, chunks: list[Chunk]) -> list[Segment]:
    """The chunks as segments from S to R, joined where they follow each other, cut to R's size."""
    assert sender.packet is not None
    ack = wire(receiver.isn or 0, max(sender.peer_acked, receiver.promised))
    limit = min(receiver.mss, MAX_MSS)
    found: list[Segment] = []
    for start, data, fin in _joined(chunks):
        at = 0
        while True:
            part = data[at : at + limit]
            out = start + at
            at += len(part)
            last = at >= len(data)
            flags = ACK | (PSH if last and part else 0) | (FIN if last and fin else 0)
            frame = replace_tcp(
                sender.packet,
                seq=sender.out_number(out),
                ack=ack,
                flags=flags,
                payload=part,
                urgent=_urgent(sender, out),
            )
            found.append(Segment(sender.port, frame))
            if last:
                break
    return found


def empty_segment(sender: Direction, receiver: Direction, flags: int, seq: int) -> Segment:
    """A segment without data from S to R; `seq` is an out offset of S's stream."""
    assert sender.packet is not None
    ack = wire(receiver.isn or 0, max(sender.peer_acked, receiver.promised))
    frame = replace_tcp(
        sender.packet, seq=sender.out_number(seq), ack=ack, flags=flags, payload=b""
    )
    return Segment(sender.port, frame)


def remember(direction: Direction, port: int, packet: Ipv4, tcp: Tcp) -> None:
    """Keep a frame of S as the model of what is sent in its name."""
    direction.port = port
    # A copy without data and with its padding cut: it may be kept for hours.
    bare = replace_tcp(packet, seq=0, ack=0, flags=tcp.flags & ACK, payload=b"")
    direction.packet = parse_ipv4(bare)


def _joined(chunks: list[Chunk]) -> list[tuple[int, bytes, bool]]:
    joined: list[tuple[int, bytes, bool]] = []
    for chunk in chunks:
        if not chunk.data and not chunk.fin:
            continue
        if joined:
            start, data, fin = joined[-1]
            if start + len(data) == chunk.out_start and not fin:
                joined[-1] = (start, data + chunk.data, chunk.fin)
                continue
        joined.append((chunk.out_start, chunk.data, chunk.fin))
    return joined


def _urgent(sender: Direction, out: int) -> int:
    """The urgent pointer of a segment at `out`; 0 if what was urgent is behind it."""
    if not sender.urgent:
        return 0
    distance = sender.urgent + sender.history.shift_at(sender.urgent) - out
    return distance if 0 < distance <= _MAX_URGENT else 0
