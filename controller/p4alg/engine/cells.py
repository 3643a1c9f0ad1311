"""The registers of the program: how plain flows lie in them, and where.

The switch sets up plain flows by itself, in the cells of these arrays (p4src/v1model/registers.p4).
Here a cell is a value, as packed in the array, or a dataclass. There are two kinds of cells, each
with its state in an array of its own, at the same index:

* a slot is the mapping of an outside port: whose it is, and when it ends;
* a session is a flow that may pass in both directions, and what has been seen of it.

A cell is alive as long as its end is not before now; 0 is a cell that was never used. Times are
ticks of the switch's clock, which begins when the switch does. An index is a way, of which there
are a few for each kind, and a hash. Nothing here reads a switch.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

from p4alg import p4constants as p4
from p4alg.p4constants import Class, Phase
from p4alg.protocols import ICMP, TCP, UDP

TICK_SECONDS = (1 << p4.TICK_SHIFT) / 1_000_000
"""How long a tick of the switch's clock is."""

PROTOCOLS = {Class.TCP: TCP, Class.UDP: UDP, Class.ICMP: ICMP}
"""The IP protocol of each class of plain flows."""

_WAY_SHIFT = 1
_WAY_MASK = p4.PORT_WAY_MASK
_CLASS_SHIFT, _SUBSCRIBER_SHIFT, _SUBSCRIBER_MASK = 30, 16, 0x3FFF
_PORT_MASK = 0xFFFF
_TICKS_MASK = 0xFFFFFFFF
_OPEN_STICKS = 0xFFFE
"""Where `SlotState.open` does not count any more."""


@dataclass(frozen=True, slots=True)
class Array:
    """A register array of the program: its name, the bits of a cell, and how many cells it has."""

    name: str
    width: int
    cells: int


SLOT_CELL = Array("slot_cell", 48, p4.WAYS_SLOT << p4.SLOT_BITS)
SLOT_STATE = Array("slot_state", 48, SLOT_CELL.cells)
SESSION_CELL = Array("session_cell", 80, p4.WAYS_SESSION << p4.SESSION_BITS)
SESSION_STATE = Array("session_state", 72, SESSION_CELL.cells)
FRAGMENT_CELL = Array("fragment_cell", 192, 2 << p4.FRAGMENT_BITS)
PINHOLE_CELL = Array("pinhole_cell", 96, p4.WAYS_PINHOLE << p4.PINHOLE_BITS)


@dataclass(frozen=True, slots=True)
class Key:
    """What cells are picked by: those whose bits under `mask` are those of `value`."""

    value: int
    mask: int

    def fits(self, cell: int) -> bool:
        """Whether a cell is one of them."""
        return cell & self.mask == self.value

    def __and__(self, other: Key) -> Key:
        """The key of the cells that both fit, where they are of different bits."""
        return Key(self.value | other.value, self.mask | other.mask)


ARRAYS = (SLOT_CELL, SLOT_STATE, SESSION_CELL, SESSION_STATE, FRAGMENT_CELL, PINHOLE_CELL)
"""All register arrays of the program, as it was compiled with this controller."""


def ticks(seconds: float) -> int:
    """A time in ticks, rounded up."""
    # Not divided by TICK_SECONDS, which is no exact number: whole ticks could be rounded up.
    return math.ceil(seconds * 1_000_000 / (1 << p4.TICK_SHIFT))


def seconds(ticks: int) -> float:
    """A number of ticks in seconds."""
    return ticks * TICK_SECONDS


# Slots


@dataclass(frozen=True, slots=True)
class Slot:
    """A cell of `slot_cell`: the outside port that stands for an inside endpoint.

    Ids are ports, or ICMP query ids. Bits 2..1 of `outside_id` are the way of the cell: 0 to 2,
    as the last way is the controller's.
    """

    kind: Class
    subscriber: int
    outside_id: int
    inside_id: int

    @property
    def value(self) -> int:
        """The cell as the switch packs it."""
        return tag(self.kind, self.subscriber, self.outside_id) << 16 | self.inside_id

    @property
    def index(self) -> int:
        """The index of the only cell that can hold it."""
        way = (self.outside_id & _WAY_MASK) >> _WAY_SHIFT
        return slot_index(tag(self.kind, self.subscriber, self.outside_id), way)


@dataclass(frozen=True, slots=True)
class SlotState:
    """A cell of `slot_state`: how many established TCP sessions use a slot, and when it ends.

    `open` is 0xffff once a session of the tables has used the slot.
    """

    open: int
    end: int

    @property
    def value(self) -> int:
        """The cell as the switch packs it."""
        return self.open << 32 | self.end

    def without(self, closed: int, end: int) -> SlotState:
        """The state when so many of its established sessions have ended.

        With the last of them it is cut short to `end`, when the last other one ends.
        """
        if self.open >= _OPEN_STICKS:
            return self
        still = max(0, self.open - closed)
        return SlotState(still, self.end if still else end)


def tag(kind: Class, subscriber: int, outside_id: int) -> int:
    """Who a slot is, without its way: class, subscriber, outside port; 32 bits."""
    port = outside_id & _PORT_MASK & ~_WAY_MASK
    return kind << _CLASS_SHIFT | subscriber << _SUBSCRIBER_SHIFT | port


def slot_index(value: int, way: int, bits: int = p4.SLOT_BITS) -> int:
    """The index of the cell of a tag in a way of 2^`bits` cells."""
    return way << bits | _crc32(value, 4) & ((1 << bits) - 1)


def decode_slot(index: int, value: int) -> Slot | None:
    """The slot in a cell; None if it was never used, or if no switch can have written it."""
    kind = value >> 16 >> _CLASS_SHIFT
    way = index >> p4.SLOT_BITS
    if not 0 < kind <= max(Class) or not 0 <= way < p4.WAYS_SLOT:
        return None
    outside_id = outside_id_of(index, value)
    subscriber = value >> 16 + _SUBSCRIBER_SHIFT & _SUBSCRIBER_MASK
    return Slot(Class(kind), subscriber, outside_id, value & _PORT_MASK)


def outside_id_of(index: int, value: int) -> int:
    """The outside port of a slot in a cell."""
    way = index >> p4.SLOT_BITS
    return value >> 16 & _PORT_MASK & ~_WAY_MASK | way << _WAY_SHIFT


def decode_slot_state(value: int) -> SlotState:
    """The state of a slot."""
    return SlotState(value >> 32, value & _TICKS_MASK)


@dataclass(frozen=True, slots=True)
class PortBlock:
    """A subscriber's block as the switch chooses ports from it: see `tables.Subscriber`."""

    subscriber: int
    port_base: int
    port_mask: int
    salt: int


def candidates(
    block: PortBlock, kind: Class, inside_id: int, low: int, high: int
) -> tuple[Slot, ...]:
    """The slots that an inside endpoint may have, in the order in which the switch tries them.

    `low` and `high` are the random numbers of the two bytes of the inside port.
    """
    scrambled = (low ^ high ^ block.salt) & block.port_mask & ~7
    first = block.port_base | scrambled | inside_id & 1
    return tuple(
        Slot(kind, block.subscriber, first | way << _WAY_SHIFT, inside_id)
        for way in range(p4.WAYS_SLOT)
    )


# Sessions


@dataclass(frozen=True, slots=True)
class Session:
    """A cell of `session_cell`: a flow, named by its inside and its remote end.

    `remote_id` is 0 where the filter goes by addresses only.
    """

    kind: Class
    subscriber: int
    inside_id: int
    remote_addr: int
    remote_id: int

    @property
    def value(self) -> int:
        """The cell as the switch packs it."""
        who = self.inside_id << 16 | self.kind << 14 | self.subscriber
        return self.remote_addr << 48 | self.remote_id << 32 | who

    def places(
        self, bits: int = p4.SESSION_BITS, window_bits: int = p4.WINDOW_BITS
    ) -> tuple[int, ...]:
        """The indices of the cells that can hold it, one in each way of 2^`bits` cells."""
        value = self.value
        one = _crc32(value, 10)
        two = _crc32((value & _TICKS_MASK) << 48 | value >> 32, 10)
        window = _crc32(self.subscriber, 2)
        every, reach = (1 << bits) - 1, (1 << window_bits) - 1
        return tuple(
            way << bits | (window >> 8 * way) << window_bits & every | number & reach
            for way, number in enumerate((one, one >> 16, two, two >> 16))
        )


@dataclass(frozen=True, slots=True)
class SessionState:
    """A cell of `session_state`: when a session ends, and what has been seen of it.

    `acked` is what the inside host of a TCP connection acknowledged last.
    """

    end: int
    phase: Phase
    acked: int

    @property
    def value(self) -> int:
        """The cell as the switch packs it."""
        return self.end << 40 | self.phase << 32 | self.acked

    @property
    def is_open(self) -> bool:
        """Whether it is an established TCP connection, which its slot counts."""
        return bool(self.phase & Phase.ESTABLISHED) and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether a RST, or FINs of both ends, ended the TCP connection."""
        both = Phase.INSIDE_FIN | Phase.OUTSIDE_FIN
        return bool(self.phase & Phase.RESET) or self.phase & both == both


def decode_session(value: int) -> Session | None:
    """The session in a cell; None if it was never used, or if no switch can have written it."""
    kind, *rest = session_parts(value)
    return Session(Class(kind), *rest) if kind else None


def decode_session_state(value: int) -> SessionState:
    """The state of a session."""
    return SessionState(value >> 40, Phase(value >> 32 & 0xFF), value & _TICKS_MASK)


# Parts of cells, as numbers: of 100 000 cells objects would take a second


def session_parts(value: int) -> tuple[int, int, int, int, int]:
    """Of a cell of `session_cell`: class, subscriber, inside id, remote address and id.

    The class is 0 in a cell that was never used.
    """
    return (
        value >> 14 & 3,
        value & _SUBSCRIBER_MASK,
        value >> 16 & _PORT_MASK,
        value >> 48,
        value >> 32 & _PORT_MASK,
    )


def end_and_phase(value: int) -> tuple[int, int]:
    """Of a cell of `session_state`: when the session ends, and the bits of `Phase`."""
    return value >> 40, value >> 32 & 0xFF


# Keys of cells


def session_key(
    kind: Class | None = None,
    subscriber: int | None = None,
    inside_id: int | None = None,
    remote: tuple[int, int] = (0, 0),
    remote_id: int | None = None,
) -> Key:
    """Sessions of which so much is given; `remote` is a network: its address and its mask."""
    key = Key(remote[0] << 48, remote[1] << 48)
    for given, shift, mask in (
        (kind, 14, 3),
        (subscriber, 0, _SUBSCRIBER_MASK),
        (inside_id, 16, _PORT_MASK),
        (remote_id, 32, _PORT_MASK),
    ):
        if given is not None:
            key &= Key(given << shift, mask << shift)
    return key


def slot_key(subscriber: int, kind: int | None = None, inside_id: int | None = None) -> Key:
    """The slots of a subscriber, or of one of its endpoints."""
    key = Key(subscriber << 16 + _SUBSCRIBER_SHIFT, _SUBSCRIBER_MASK << 16 + _SUBSCRIBER_SHIFT)
    if kind is not None:
        key &= Key(kind << 16 + _CLASS_SHIFT, 3 << 16 + _CLASS_SHIFT)
    return key if inside_id is None else key & Key(inside_id, _PORT_MASK)


# Endpoints


def endpoint(kind: Class, subscriber: int, inside_id: int) -> int:
    """An inside endpoint as one number, which is made of a cell faster than an object is."""
    return (kind << 14 | subscriber) << 16 | inside_id


def endpoint_of_slot(value: int) -> int:
    """The endpoint in a cell of `slot_cell`."""
    return value >> 32 << 16 | value & _PORT_MASK


def endpoint_of_session(value: int) -> int:
    """The endpoint in a cell of `session_cell`."""
    return (value & _PORT_MASK) << 16 | value >> 16 & _PORT_MASK


def subscriber_of(endpoint: int) -> int:
    """The number of the subscriber that an endpoint is one of."""
    return endpoint >> 16 & _SUBSCRIBER_MASK


def slot_key_of(endpoint: int) -> Key:
    """The slots of an endpoint. There is one, but for those that have ended."""
    return slot_key(subscriber_of(endpoint), endpoint >> 30, endpoint & _PORT_MASK)


def _crc32(value: int, size: int) -> int:
    """What the switch's hash gives for a field of `size` bytes."""
    return zlib.crc32(value.to_bytes(size, "big"))
