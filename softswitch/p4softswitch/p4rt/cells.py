"""Answers with many cells of a register, made in protobuf's wire format.

An array has some hundred thousand cells, of which nearly all hold 0. To make an object of each
takes several times as long as to write down its bytes, of which all but the index are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from p4softswitch.p4rt import bytestring
from p4softswitch.p4rt.codes import INVALID_ARGUMENT, RpcError
from p4softswitch.p4rt.proto import p4r

_ENTITY = p4r.Entity.DESCRIPTOR.fields_by_name["register_entry"].number << 3 | 2
_ENTITIES, _ID, _INDEX, _DATA = 0x0A, 0x08, 0x12, 0x1A  # field 1, and of the entry 1, 2, 3
_NUMBER, _BITSTRING = 0x08, 0x0A
_LONGEST = 64
"""Bytes of a value up to which every length takes one byte."""


HINT = "p4softswitch-cells"
"""Metadata of a Read: which cells of whole registers are wanted, see `wanted`."""
TIME = "p4softswitch-time"
"""Metadata of the answer to a Read with `HINT`: what the program's clock says, in microseconds."""
HELD = "held"
MAX_KEYS = 64
_KEY = re.compile("([0-9a-f]{1,128})/([0-9a-f]{1,128})")

Key = tuple[int, int]
"""A value, and a mask that tells which of its bits count."""


def wanted(metadata: Iterable[tuple[str, str | bytes]]) -> tuple[Key, ...] | None:
    """What a Read asks for by `HINT`; None for all cells, as P4Runtime has it.

    ``held`` is all cells that do not hold 0. ``VALUE/MASK,...`` (hexadecimal, at most `MAX_KEYS`)
    is those of them that match one of these keys. Without a key, the result is empty. A switch
    that does not know it sends all cells, and so a client looks at what comes all the same.
    Raises `RpcError` for anything else.
    """
    text = next((value for key, value in metadata if key == HINT), None)
    if text is None or text == HELD:
        return None if text is None else ()
    keys = str(text).split(",", MAX_KEYS)
    found = [_KEY.fullmatch(key) for key in keys]
    if len(keys) > MAX_KEYS or not all(found):
        text = f"{HINT} must be '{HELD}', or up to {MAX_KEYS} of VALUE/MASK in hexadecimal"
        raise RpcError(INVALID_ARGUMENT, text)
    return tuple((int(key[1], 16), int(key[2], 16)) for key in found if key is not None)


def answer(register_id: int, cells: Iterable[tuple[int, int]]) -> Any:
    """A ReadResponse with cells of a register, each an index and a value."""
    parts = bytearray()
    for index, value in cells:
        if not index:
            # Protobuf does not write a number that is 0.
            entry = p4r.RegisterEntry(register_id=register_id)
            entry.index.index = 0
            entry.data.bitstring = bytestring.encode(value)
            whole = p4r.ReadResponse(entities=[p4r.Entity(register_entry=entry)])
            parts += whole.SerializeToString()
            continue
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
