"""`p4alg top`: rates of counters, tables and the busiest subscribers, on a whole terminal."""

from __future__ import annotations

import argparse
import curses
import os
import sys
import time
from contextlib import suppress
from typing import Any

from p4alg.cli import dashboard
from p4alg.cli.connection import add_organisation, add_socket, find
from p4alg.cli.dashboard import SORTS, Look, Sample
from p4alg.cli.show import WATCH_SECONDS, period
from p4alg.config.errors import UserError
from p4alg.daemon.client import Client

TABLES_EACH = 3
"""Tables are looked at each so many times: all their entries are read for it."""


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "top",
        help="rates, tables and the busiest subscribers, live",
        description="Rates of counters, ALG sessions, tables and the busiest subscribers on the "
        "whole terminal. Keys: q quit, s sort, p pause.",
    )
    parser.add_argument(
        "--every",
        type=period,
        default=WATCH_SECONDS,
        metavar="SECONDS",
        help=f"how often it looks (every {WATCH_SECONDS:g} s)",
    )
    add_organisation(parser)
    add_socket(parser)
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError("top needs a terminal: use 'p4alg show counters --watch' in a pipe")
    top = _Top(Client(find(args)), args.organisation, args.every)
    # What cannot be read is said before the screen is taken.
    top.look()
    try:
        curses.wrapper(top.run)
    except curses.error as error:
        raise UserError(f"this terminal is of no use for top ({error}): set TERM") from None
    except KeyboardInterrupt:
        pass
    return 0


class _Top:
    """The samples that were taken last, and what the keys have chosen."""

    def __init__(self, controller: Client, organisation: str | None, seconds: float) -> None:
        self._controller = controller
        self._whose = {} if organisation is None else {"organisation": organisation}
        self._seconds = seconds
        self._before: Sample | None = None
        self._after: Sample | None = None
        self._switch: dict[str, Any] = {}
        self._looks = 0
        self._sort = 0
        self._paused = False

    def look(self) -> None:
        """Take a sample."""
        show = self._show
        if self._looks % TABLES_EACH == 0:
            self._switch = self._controller.call("show", what="switch")
        self._looks += 1
        self._before, self._after = (
            self._after,
            Sample(
                clock=time.monotonic(),
                time=time.strftime("%H:%M:%S"),
                counters=show("counters"),
                algs=show("algs"),
                subscribers=show("subscribers"),
                tables=self._switch["tables"],
                program=self._switch["program"],
            ),
        )

    def _show(self, what: str) -> Any:
        return self._controller.call("show", what=what, **self._whose)

    def run(self, window: curses.window) -> None:
        """Redraw until somebody quits."""
        with suppress(curses.error):
            curses.curs_set(0)
        due = time.monotonic() + self._seconds
        while True:
            self._draw(window)
            window.timeout(max(0, round((due - time.monotonic()) * 1000)))
            match window.getch():
                case 113 | 81:  # q, Q
                    return
                case 115 | 83:  # s, S
                    self._sort = (self._sort + 1) % len(SORTS)
                case 112 | 80:  # p, P
                    self._paused = not self._paused
            if time.monotonic() >= due:
                if not self._paused:
                    self.look()
                due = time.monotonic() + self._seconds

    def _draw(self, window: curses.window) -> None:
        # The signal that tells of another size can come where curses does not look for it.
        size = os.get_terminal_size(sys.stdout.fileno())
        if curses.is_term_resized(size.lines, size.columns):
            curses.resizeterm(size.lines, size.columns)
            # The terminal may have moved what is on it: all is written anew.
            window.clear()
        height, width = window.getmaxyx()
        look = Look(width, height, SORTS[self._sort], self._paused, self._seconds)
        assert self._after is not None
        window.erase()
        for row, (text, bold) in enumerate(dashboard.screen(self._before, self._after, look)):
            # The last column of the last row cannot be written without an error.
            with suppress(curses.error):
                window.addnstr(row, 0, text, width, curses.A_BOLD if bold else curses.A_NORMAL)
        window.refresh()
