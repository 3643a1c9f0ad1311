"""`p4alg top` on a terminal: what it draws, its keys, another size, and what is no terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyte
import pytest

from p4alg.cli import main

SECONDS = 20.0


class Terminal:
    """`p4alg top` on a terminal in memory."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes], columns: int, rows: int) -> None:
        self._fd = fd
        self.process = process
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        _set_size(self._fd, columns, rows)

    def press(self, key: str) -> None:
        os.write(self._fd, key.encode())

    def until(self, what: str, check: Callable[[list[str]], Any]) -> list[str]:
        """Read until the screen is as it should be."""
        end = time.monotonic() + SECONDS
        while not check(list(self.screen.display)):
            assert time.monotonic() < end, f"{what}:\n" + "\n".join(self.screen.display)
            if select.select([self._fd], [], [], 0.1)[0]:
                try:
                    self._stream.feed(os.read(self._fd, 65536))
                except OSError:  # The other end is closed.
                    break
        return list(self.screen.display)


def _set_size(fd: int, columns: int, rows: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def top(socket: Path, columns: int = 80, rows: int = 24) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    _set_size(theirs, columns, rows)
    top = [sys.executable, "-m", "p4alg", "top", "--every", "0.2", "--socket", str(socket)]
    # A program of its own makes it the controlling terminal: whatever Python does between fork
    # and exec, gRPC does not survive in this process, where a controller runs.
    process = subprocess.Popen(
        ["setsid", "--ctty", *top],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "linux"},
    )
    os.close(theirs)
    try:
        yield Terminal(ours, process, columns, rows)
    finally:
        process.kill()
        process.wait(SECONDS)
        os.close(ours)


def is_whole(lines: list[str]) -> bool:
    return lines[-1].startswith("q quit")


def test_it_looks_right_on_80x24_and_goes_by_its_keys(socket: Path) -> None:
    with top(socket) as terminal:
        lines = terminal.until("a screen", is_whole)
        assert lines[0].startswith("p4alg top  ")
        assert lines[0].rstrip().endswith("every 0.2 s")
        assert lines[1].startswith("subscribers 0   ALG sessions 0   pinholes 0")
        assert lines[2].startswith("punts/s ")
        assert lines[4].split() == ["COUNTER", "/S", "TOTAL", "TABLE", "ENTRIES", "SIZE", "FILL"]
        assert any(line.startswith("SUBSCRIBER ") for line in lines)
        assert "(by bits)" in lines[-1]
        terminal.press("s")
        terminal.until("another order", lambda lines: "(by packets)" in lines[-1])
        terminal.press("p")
        terminal.until("a pause", lambda lines: lines[0].rstrip().endswith("paused"))
        terminal.press("q")
        assert terminal.process.wait(SECONDS) == 0


def test_it_is_drawn_anew_on_another_size(socket: Path) -> None:
    with top(socket) as terminal:
        terminal.until("a screen", is_whole)
        terminal.resize(100, 30)
        terminal.until(
            "the other size",
            lambda lines: (
                is_whole(lines)
                and len(lines[0].rstrip()) > 90
                and not any(line.startswith("q quit") for line in lines[:-1])
            ),
        )
        terminal.resize(40, 8)
        terminal.until("what is too small", lambda lines: lines[0].startswith("too small: 80x12"))
        os.write(terminal._fd, b"\x03")
        assert terminal.process.wait(SECONDS) == 0


def test_without_a_terminal_it_says_so_in_a_line(
    socket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top", "--socket", str(socket)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "p4alg: top needs a terminal: use 'p4alg show counters --watch' in a pipe\n"
    )


def test_without_a_controller_the_screen_is_not_taken(tmp_path: Path) -> None:
    with top(tmp_path / "nobody") as terminal:
        lines = terminal.until("the error", lambda lines: "no controller at" in "".join(lines))
        assert "\n".join(lines).count("Traceback") == 0
        assert terminal.process.wait(SECONDS) == 1
