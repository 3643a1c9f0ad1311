"""Functions that generated code calls: rare operators, stacks, hashes."""

from __future__ import annotations

import binascii
from binascii import crc32
from typing import Any

_MAX_SHIFT = 2048


def divide(a: int, b: int) -> int:
    """Integer division; 0 for a division by 0, which P4 leaves undefined."""
    return a // b if b else 0


def modulo(a: int, b: int) -> int:
    """Remainder; 0 for a division by 0, which P4 leaves undefined."""
    return a % b if b else 0


def shift_left(a: int, b: int) -> int:
    """Left shift; 0 if the distance is greater than the width of any P4 field."""
    return a << b if 0 <= b <= _MAX_SHIFT else 0


def two_comp_mod(value: int, width: int) -> int:
    """Value of the low `width` bits read as two's complement."""
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


def usat_cast(value: int, width: int) -> int:
    """Saturate to an unsigned integer of `width` bits."""
    return max(0, min(value, (1 << width) - 1))


def sat_cast(value: int, width: int) -> int:
    """Saturate to a signed integer of `width` bits."""
    top = 1 << (width - 1)
    return max(-top, min(value, top - 1))


def same_header(a: tuple[Any, ...], b: tuple[Any, ...], equal: bool) -> bool:
    """Compare headers given as (validity, fields …): two invalid headers are equal."""
    same = a[0] == b[0] and (not a[0] or a == b)
    return same is equal


def peek(data: bytes, bit: int, width: int) -> int:
    """`width` bits of `data` from bit offset `bit`; bits beyond the end read as 0."""
    first, last = bit // 8, (bit + width + 7) // 8
    chunk = data[first:last]
    value = int.from_bytes(chunk, "big") << (8 * (last - first - len(chunk)))
    return (value >> (last * 8 - bit - width)) & ((1 << width) - 1)


def element(p: Any, slots: tuple[str, ...], index: int) -> int:
    """Field of a stack element; 0 out of bounds."""
    return int(getattr(p, slots[index])) if 0 <= index < len(slots) else 0


def set_element(p: Any, slots: tuple[str, ...], index: int, value: int) -> None:
    """Set a field of a stack element; nothing out of bounds."""
    if 0 <= index < len(slots):
        setattr(p, slots[index], value)


def last(p: Any, slots: tuple[str, ...], count: int) -> int:
    """Field of the last element of a stack; 0 if it is empty."""
    return element(p, slots, count - 1)


def stack_push(p: Any, elements: tuple[tuple[str, ...], ...], counter: str, count: int) -> None:
    """Move stack elements up by `count`. `elements` are the slots of each, validity first."""
    size = len(elements)
    for i in range(size - 1, -1, -1):
        for k, slot in enumerate(elements[i]):
            if i >= count:
                setattr(p, slot, getattr(p, elements[i - count][k]))
            elif k == 0:
                setattr(p, slot, 0)
    setattr(p, counter, min(size, getattr(p, counter) + count))


def stack_pop(p: Any, elements: tuple[tuple[str, ...], ...], counter: str, count: int) -> None:
    """Move stack elements down by `count`."""
    size = len(elements)
    for i in range(size):
        for k, slot in enumerate(elements[i]):
            if i + count < size:
                setattr(p, slot, getattr(p, elements[i + count][k]))
            elif k == 0:
                setattr(p, slot, 0)
    setattr(p, counter, max(0, getattr(p, counter) - count))


def words(data: bytes, odd: bool) -> int:
    """A number equal, modulo 65535, to the sum of the 16-bit words of `data`.

    `odd` says that they begin in the second byte of a 16-bit word.
    """
    if odd:
        data = b"\0" + data
    if len(data) & 1:
        data += b"\0"
    return int.from_bytes(data, "big")


def gather(p: Any, items: tuple[tuple[Any, ...], ...], payload: bytes) -> bytes:
    """Bytes that a calculation runs over: (validity slot, field slot or constant, width) each.

    Width None marks a variable-length field. Fields of invalid headers are left out, and the
    fixed part is padded with zero bits to a whole byte, as in BMv2.
    """
    value = bits = 0
    for valid, source, width in items:
        if valid is not None and not getattr(p, valid):
            continue
        part = getattr(p, source) if isinstance(source, str) else source
        if width is None:
            value, bits = (
                value << (8 * len(part)) | int.from_bytes(part, "big"),
                bits + 8 * len(part),
            )
        else:
            value, bits = value << width | (part & ((1 << width) - 1)), bits + width
    pad = -bits % 8
    return (value << pad).to_bytes((bits + pad) // 8, "big") + payload


def fold(total: int) -> int:
    """Internet checksum (RFC 1071) of words whose sum is `total`; sums modulo 65535."""
    rest = total % 65535
    if rest:
        return 65535 - rest
    return 0 if total else 65535


def csum16(data: bytes) -> int:
    """Internet checksum of bytes (RFC 1071)."""
    return fold(words(data, False))


def _crc16_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC16 = _crc16_table()


def crc16(data: bytes) -> int:
    """CRC-16/ARC."""
    crc = 0
    for byte in data:
        crc = (crc >> 8) ^ _CRC16[(crc ^ byte) & 0xFF]
    return crc


def crc_ccitt(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    return binascii.crc_hqx(data, 0xFFFF)


def xor16(data: bytes) -> int:
    """XOR of the 16-bit words, zero-padded at the end."""
    result = 0
    for i in range(0, len(data), 2):
        result ^= int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big")
    return result


def identity(data: bytes) -> int:
    """The first eight bytes as a number."""
    return int.from_bytes(data[:8], "big")


HASHES = {
    "crc16": crc16,
    "crc16_custom": crc16,
    "crc32": crc32,
    "crc32_custom": crc32,
    "crcCCITT": crc_ccitt,
    "csum16": csum16,
    "cksum16": csum16,
    "xor16": xor16,
    "identity": identity,
}

HASH_BITS = {
    name: {"identity": 64, "crc32": 32, "crc32_custom": 32}.get(name, 16) for name in HASHES
}
"""The bits that the result of a hash fits in."""
