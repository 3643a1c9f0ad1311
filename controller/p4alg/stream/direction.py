"""One direction of a followed connection: what one end sent, and how much of it was sent on.

The end that sends is called S here, the one that receives R. *In* offsets count the bytes as S
sent them, *out* offsets as R gets them (`history`); both count from S's SYN (`numbers`).
"""

from __future__ import annotations

from collections import deque

from p4alg.alg.contract import Peer, Step
from p4alg.packet.ipv4 import Ipv4
from p4alg.packet.tcp import tcp_model
from p4alg.stream.history import Chunk, History
from p4alg.stream.numbers import offset_of, wire
from p4alg.stream.reassembly import Reassembly

DEFAULT_MSS = 536
"""Maximum segment size of an end whose SYN announces none (RFC 9293 section 3.7.1); bytes."""


class Direction:
    """What S (`peer`) sends to R. `limit` bounds what is kept for it in each place; bytes."""

    __slots__ = (
        "acked",
        "acked_early",
        "fin",
        "held",
        "history",
        "isn",
        "model",
        "mss",
        "next_in",
        "next_out",
        "peer",
        "port",
        "reassembly",
        "reported",
        "reverse",
        "scale",
        "steps",
        "urgent",
        "window",
    )

    reverse: Direction
    """What R sends to S."""

    def __init__(self, peer: Peer, limit: int) -> None:
        self.peer = peer
        self.reassembly = Reassembly(limit)
        self.history = History(limit)
        self.isn = 0
        """S's initial sequence number, once its SYN was seen."""
        self.held = bytearray()
        """Bytes that came in order and have not been sent on; the first is at `next_in`."""
        self.next_in = 1
        """In offset of the first byte that has not been sent on."""
        self.next_out = 1
        """Out offset of the next byte that R gets; after S's FIN was sent on, that is counted."""
        self.acked = 1
        """In offset up to which R has acknowledged everything."""
        self.acked_early = 1
        """In offset up to which the gateway has acknowledged held bytes to S, in R's name."""
        self.reported = 0
        """In offset of the incomplete message that was last reported as held."""
        self.steps: deque[Step] = deque()
        """What the ALG decided on held bytes and has not been carried out yet."""
        self.fin: int | None = None
        """In offset of S's FIN, once that was seen."""
        self.urgent = 0
        """In offset just after S's urgent data; 0 if there was none."""
        self.mss = DEFAULT_MSS
        """Largest segment that S takes, as its SYN says; bytes."""
        self.scale: int | None = None
        """By how many bits S's windows are shifted; None if its SYN does not say."""
        self.window = 0
        """The largest window that S has told in what came here; bytes."""
        self.port = 0
        """Switch port at which S's latest frame came in."""
        self.model: Ipv4 | None = None
        """Headers of S's latest frame; what is sent in S's name gets the same."""

    @property
    def received(self) -> int:
        """In offset of the next byte that is expected of S."""
        return self.reassembly.next

    @property
    def acked_out(self) -> int:
        """Out offset up to which R has acknowledged everything."""
        return self.acked + self.history.shift_at(self.acked)

    @property
    def shift(self) -> int:
        """Out minus in offset of the next byte to be sent on. Not for use after the FIN."""
        return self.next_out - self.next_in

    @property
    def ack_number(self) -> int:
        """The acknowledgement number of segments that go from S to R."""
        return wire(self.reverse.isn, max(self.reverse.acked, self.reverse.acked_early))

    def begin(self, isn: int) -> None:
        """S's first SYN was seen; `isn` is its sequence number."""
        self.isn = isn
        self.reassembly.next = 1

    def remember(self, port: int, packet: Ipv4) -> None:
        """S sent `packet`: what is sent in S's name from now on gets its port and its headers."""
        self.port = port
        # The headers only, since they may be kept for hours.
        self.model = tcp_model(packet)

    def note_window(self, window: int, *, is_syn: bool) -> None:
        """S's segment told this window, as it is in the header."""
        has_scale = self.scale is not None and self.reverse.scale is not None
        shift = self.scale or 0 if has_scale and not is_syn else 0
        self.window = max(self.window, window << shift)

    def offset(self, number: int) -> int:
        """The in offset of a sequence number that S uses."""
        return offset_of(self.isn, number, self.received)

    def out_number(self, out: int) -> int:
        """The sequence number that R sees at the out offset `out`."""
        return wire(self.isn, out)

    def acknowledged_to(self, number: int) -> int:
        """The in offset up to which R has everything, if it acknowledges `number`.

        `number` is a sequence number as R sees them. More than was sent on does not count.
        """
        out = min(offset_of(self.isn, number, self.next_out), self.next_out)
        return self.history.in_offset(out)

    def acknowledge(self, number: int) -> None:
        """R acknowledged `number`, a sequence number as R sees them."""
        offset = self.acknowledged_to(number)
        if offset > self.acked:
            self.acked = offset
            self.history.acknowledged(offset)

    def release(
        self, length: int, data: bytes, *, edited: bool, fin: bool = False, answer: bool = False
    ) -> Chunk:
        """Take the next `length` held bytes out, to be sent on as `data`; with `fin`, S's FIN too.

        With `answer` the gateway says `data` in S's name, in front of the bytes that are held.
        The chunk is not in the history yet.
        """
        start, end = self.next_in, self.next_in + length
        out_start = self.next_out
        del self.held[:length]
        self.next_in = end
        self.next_out = out_start + len(data) + fin
        whole = edited or start < self.acked_early or fin
        return Chunk(start, end + fin, out_start, data, whole, fin, answer)

    def take_back(self, chunk: Chunk, message: bytes) -> None:
        """Undo `release` of the latest chunk: hold `message` again, the bytes that S sent."""
        self.held[:0] = message
        self.next_in = chunk.start
        self.next_out = chunk.out_start
