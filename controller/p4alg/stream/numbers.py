"""Converts TCP sequence numbers (RFC 9293 section 3.4) to offsets, and back.

Sequence numbers are 32 bits and wrap; offsets never do, so that they can be compared and
subtracted. They count from the sender's initial sequence number: its SYN has offset 0, its
first byte of data offset 1.
"""

from __future__ import annotations

_MODULUS = 1 << 32
_HALF = 1 << 31


def wire(initial: int, offset: int) -> int:
    """The sequence number of an offset; `initial` is the initial sequence number."""
    return (initial + offset) % _MODULUS


def offset_of(initial: int, number: int, near: int) -> int:
    """The offset of a sequence number; of all that it may stand for, the one nearest to `near`."""
    distance = (number - wire(initial, near)) % _MODULUS
    return near + (distance - _MODULUS if distance >= _HALF else distance)
