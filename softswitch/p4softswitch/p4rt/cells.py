"""Answers with all cells of a register, made in protobuf's wire format.

An array has some hundred thousand cells, of which nearly all hold 0. To make an object of each
takes several times as long as to write down its bytes, of which all but the index are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from p4softswitch.p4rt import bytestring
from p4softswitch.p4rt.proto import p4r

_ENTITY = p4r.Entity.DESCRIPTOR.fields_by_name["register_entry"].number << 3 | 2
_ENTITIES, _ID, _INDEX, _DATA = 0x0A, 0x08, 0x12, 0x1A  # field 1, and of the entry 1, 2, 3
_NUMBER, _BITSTRING = 0x08, 0x0A
_LONGEST = 64
"""Bytes of a value up to which every length takes one byte."""


def answer(register_id: int, first: int, values: Sequence[int]) -> Any:
    """A ReadResponse with the cells of a register from index `first` on."""
    parts = bytearray()
    if not first and values:
        entry = p4r.RegisterEntry(register_id=register_id)
        entry.index.index = 0
        entry.data.bitstring = bytestring.encode(values[0])
        parts += p4r.ReadResponse(entities=[p4r.Entity(register_entry=entry)]).SerializeToString()
        first, values = 1, values[1:]
    for index, value in enumerate(values, first):
        number = _varint(index)
        text = b"\0" if not value else value.to_bytes((value.bit_length() + 7) // 8, "big")
        parts += _head(register_id, len(number), len(text)) + number + _tail(len(text)) + text
    return p4r.ReadResponse.FromString(bytes(parts))


def is_short(width: int) -> bool:
    """Whether cells of so many bits can be answered in this way."""
    return width <= 8 * _LONGEST


def _varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    if value < 1 << 7:
        return bytes((value,))
    if value < 1 << 14:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if value < 1 << 21:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    return bytes((value & 0x7F | 0x80,)) + _varint(value >> 7)


@lru_cache(maxsize=1024)
def _head(register_id: int, number: int, text: int) -> bytes:
    """What stands before an index of `number` bytes, whose value has `text` bytes."""
    entry = bytes((_ID,)) + _varint(register_id) + bytes((_INDEX, number + 1, _NUMBER))
    rest = number + len(_tail(text)) + text
    entity = _varint(_ENTITY) + _varint(len(entry) + rest) + entry
    return bytes((_ENTITIES,)) + _varint(len(entity) + rest) + entity


@lru_cache(maxsize=1024)
def _tail(text: int) -> bytes:
    """What stands between index and value."""
    return bytes((_DATA, text + 2, _BITSTRING, text))
