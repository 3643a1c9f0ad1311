"""Numbers written as text in a protocol message.

A peer can write anything where a number has to be: letters, a sign, digits of another
alphabet, thousands of digits (which Python's `int` refuses with an exception). Every
ALG reads such numbers here, and answers None with its own protocol error.
"""

from __future__ import annotations


def read_decimal(text: bytes, largest: int) -> int | None:
    """The value of `text`, which must be ASCII digits only and at most `largest`; else None.

    Leading zeros are allowed, but there may be no more digits than `largest` has.
    Never raises.
    """
    if not text.isdigit() or len(text) > len(str(largest)):
        return None
    number = int(text)
    return number if number <= largest else None
