"""P4Runtime byte strings (specification, section 8.4): big-endian, shortest form when written."""

from __future__ import annotations

from p4softswitch.p4rt.codes import INVALID_ARGUMENT, RpcError


def encode(value: int) -> bytes:
    """Canonical form: no leading zero bytes, one byte for 0."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def decode(data: bytes, width: int, what: str) -> int:
    """Value of a byte string of any length that fits in `width` bits.

    Raises INVALID_ARGUMENT, naming `what`, if it is empty or does not fit.
    """
    if not data:
        raise RpcError(INVALID_ARGUMENT, f"{what}: value is empty")
    value = int.from_bytes(data, "big")
    if value.bit_length() > width:
        raise RpcError(INVALID_ARGUMENT, f"{what}: value does not fit in {width} bits")
    return value
