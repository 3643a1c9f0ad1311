"""Text of peers, made harmless for terminals and logs.

A name or Call-ID that a peer chose may hold escape sequences, newlines that begin a log line of
its own, or marks that turn the direction of writing. Whatever shows text to people passes
it through `printable` last; nothing before that has to know.
"""

from __future__ import annotations

LONGEST = 1000
"""The most characters of a line that are shown."""


def printable(text: str, longest: int = LONGEST) -> str:
    """`text` as one line: what does not print is written as an escape sequence of Python.

    That is what Unicode counts as control, format (bidirectional marks among it), surrogate,
    private, unassigned, or as space other than U+0020. A line longer than `longest` is cut.
    """
    if len(text) > longest:
        text = text[:longest] + "..."
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
