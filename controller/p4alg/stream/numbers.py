"""TCP sequence numbers (RFC 9293 section 3.4) as plain offsets that never wrap.

The offset of a byte counts from the sender's initial sequence number: the SYN
is 0, the first byte of data 1.
"""

from __future__ import annotations

_MODULUS = 1 << 32
_HALF = 1 << 31


def wire(initial: int, offset: int) -> int:
    """The sequence number of an offset."""
    return (initial + offset) % _MODULUS


def offset_of(initial: int, number: int, near: int) -> int:
    """The offset of a sequence number, of all possible ones the nearest to `near`."""
    distance = (number - wire(initial, near)) % _MODULUS
    return near + (distance - _MODULUS if distance >= _HALF else distance)
