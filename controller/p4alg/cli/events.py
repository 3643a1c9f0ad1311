"""`p4alg events`: what has happened to sessions, pinholes, blocks and ALGs, and what happens."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from p4alg.cli.connection import add_controller, add_organisation, client
from p4alg.cli.show import add_selection, selection
from p4alg.config.errors import UsageError
from p4alg.daemon.selection import Selection, parse
from p4alg.engine.defaults import DEFAULT_ORGANISATION
from p4alg.printable import printable

KINDS = ("session", "pinhole", "block", "alg", "audit")
_NOT_HERE = ("state", "kind", "level", "name", "sort", "limit")
"""Options of `show` that say nothing of an event."""


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "events",
        help="what has happened, and what happens now (--follow)",
        description="Sessions of ALGs, pinholes, blocks of ports, refused messages, and what "
        "operators have done: the last ones that the controller has kept.",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="those from now on, live")
    parser.add_argument("--json", action="store_true", dest="as_json", help="one object a line")
    parser.add_argument("--limit", metavar="N", type=int, help="only the last N; not with --follow")
    parser.add_argument("--kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))
    add_selection(parser, leave_out=_NOT_HERE)
    add_organisation(parser)
    add_controller(parser)
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    chosen = selection(args)
    limit = chosen.pop("limit", None)
    if limit is not None and (args.follow or args.limit < 0):
        raise UsageError("--limit N is how many of the last ones: leave out --follow")
    wanted = parse("happenings", chosen)
    try:
        if not args.follow:
            rows = client(args).call("events")
            found = [row for row in rows if _is_wanted(row, wanted, args.organisation)]
            _print(iter(found[len(found) - args.limit :] if limit is not None else found), args)
            return 0
        rows = client(args).follow("follow")
        _print((row for row in rows if _is_wanted(row, wanted, args.organisation)), args)
    except KeyboardInterrupt:
        pass
    return 0


def _is_wanted(row: dict[str, Any], wanted: Selection, organisation: str | None) -> bool:
    # One that tells how many were missed is shown in any case.
    is_mine = organisation in (None, row["organisation"])
    return "missed" in row or (is_mine and wanted.fits(row))


def _print(rows: Iterator[dict[str, Any]], args: argparse.Namespace) -> None:
    for row in rows:
        print(json.dumps(row) if args.as_json else "\n".join(lines(row)), flush=args.follow)


def lines(row: dict[str, Any]) -> list[str]:
    """An event as lines of text for a terminal."""
    whose = "" if row["organisation"] in ("", DEFAULT_ORGANISATION) else f"{row['organisation']} "
    words = [row["proto"], row["inside"]]
    if row["outside"]:
        words += ["as", row["outside"]]
    if row["remote"]:
        words += ["with", row["remote"]]
    alg, label = row["alg"], row["label"]
    words.append(label if label.startswith(alg) else f"{alg} {label}")
    words.append(f"({row['reason']})" if row["reason"] else "")
    words.append(f": {row['text']}" if row["text"] else "")
    what = " ".join(word for word in words if word).replace(" : ", ": ").removeprefix(": ")
    head = f"{row['time'][11:23]} {whose}{row['kind']} {row['event']}"
    missed = row.get("missed")
    left_out = [f"  ({missed} events before this one were not shown)"] if missed else []
    return [printable(f"{head} {what}"), *left_out]
