"""Runs in place of pppd, where the kernel has no PPP, and echoes each frame with a mark.

pptpd starts it, as it would pppd, with a terminal on its standard streams. The
mark shows that a frame has been here, and was not just thrown back on its way.
"""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import tty

from peers import ppp_frames

PROTOCOL = b"\x00\x21"
GREETING = b"hello"
"""The payload of what is said first, before anything is echoed."""
MARK = b"echo:"
_HEADER_SIZE = len(ppp_frames.HEADER + PROTOCOL)


def echo(frame: bytes) -> bytes:
    """The answer to `frame`: header and protocol as they came, then the mark and the payload."""
    return frame[:_HEADER_SIZE] + MARK + frame[_HEADER_SIZE:]


def main() -> int:
    """Greet, then echo until the terminal is hung up."""
    if os.isatty(0):
        # Not TCSAFLUSH: what has come already is a frame of the call.
        tty.setraw(0, termios.TCSANOW)
    # EIO is how a terminal says that its other end is closed.
    with contextlib.suppress(OSError):
        _serve()
    return 0


def _serve() -> None:
    # As pppd begins LCP: pptpd reads nothing from the tunnel until it has been spoken to.
    _write(ppp_frames.encode(ppp_frames.HEADER + PROTOCOL + GREETING))
    decoder = ppp_frames.Decoder()
    while data := os.read(0, 4096):
        for frame in decoder.feed(data):
            _write(ppp_frames.encode(echo(frame)))


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    sys.exit(main())
