"""Where a flow's cells are, computed apart from the program, and flows that collide in them.

The program's hashes are CRCs. A CRC is linear: what two inputs have to differ in so that their
hashes are the same does not depend on the inputs, and Gaussian elimination finds it.
"""

from __future__ import annotations

import ipaddress
import struct
import zlib
from collections.abc import Callable, Iterable

from program import FRAGMENT_BITS, SESSION_BITS, SLOT_BITS, WINDOW_BITS

CLASSES = {6: 1, 17: 2, 1: 3}
"""Protocol -> its class in a cell."""


def slot_tag(proto: int, number: int, port: int) -> int:
    """Who an outside port is in the registers: 32 bits, in which its way is not."""
    return CLASSES[proto] << 30 | number << 16 | port & 0xFFF9


def slot_index(tag: int, way: int = 0) -> int:
    """Index of the cell of a tag in `slot_cell` and `slot_state`."""
    return way << SLOT_BITS | zlib.crc32(tag.to_bytes(4, "big")) & ((1 << SLOT_BITS) - 1)


def session_key(proto: int, number: int, inside_id: int, remote_addr: str, remote_id: int) -> int:
    """What a cell of `session_cell` says: 80 bits."""
    whose = CLASSES[proto] << 14 | number
    address = int(ipaddress.IPv4Address(remote_addr))
    packed = struct.pack(">IHHH", address, remote_id, inside_id, whose)
    return int.from_bytes(packed, "big")


def session_indices(key: int) -> list[int]:
    """Indices of the four cells of a session in `session_cell` and `session_state`."""
    number = key & 0x3FFF
    window = zlib.crc32(number.to_bytes(2, "big"))
    raw = key.to_bytes(10, "big")
    first, second = zlib.crc32(raw), zlib.crc32(raw[6:] + raw[:6])
    hashes = (first, first >> 16, second, second >> 16)
    cells, reach = (1 << SESSION_BITS) - 1, (1 << WINDOW_BITS) - 1
    return [
        way << SESSION_BITS | (window >> 8 * way << WINDOW_BITS) & cells | one & reach
        for way, one in enumerate(hashes)
    ]


def fragment_index(src: str, dst: str, proto: int, ident: int, organisation: int = 0) -> int:
    """Index of the first of the two cells of a datagram in `fragment_cell`."""
    addresses = (int(ipaddress.IPv4Address(address)) for address in (src, dst))
    key = struct.pack(">BIIBH", organisation, *addresses, proto, ident)
    return zlib.crc32(key) & ((1 << FRAGMENT_BITS) - 1)


def same_indices(index: Callable[[int], int], bits: Iterable[int]) -> list[int]:
    """What may be XORed to any input of a linear hash, in these bits, so that `index` stays."""
    origin = index(0)
    rows: list[tuple[int, int]] = []
    kernel = []
    for bit in bits:
        image, inputs = index(1 << bit) ^ origin, 1 << bit
        for pivot, made_of in rows:
            if image ^ pivot < image:
                image, inputs = image ^ pivot, inputs ^ made_of
        if image:
            rows.append((image, inputs))
            rows.sort(reverse=True)
        else:
            kernel.append(inputs)
    return kernel
