"""`p4alg show`: prints the state of the running controller and of its switch."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from p4alg import jsontext
from p4alg.alg import registry
from p4alg.alg.descriptor import View
from p4alg.cli.connection import add_controller, add_organisation, client
from p4alg.cli.table import Row, render
from p4alg.engine.defaults import DEFAULT_ORGANISATION
from p4alg.printable import printable

_COLUMNS: dict[str, dict[str, str]] = {
    "algs": {
        "name": "ALG",
        "enabled": "ON",
        "services": "SERVICES",
        "ports": "PORTS",
        "sessions": "SESSIONS",
    },
    "services": {"name": "SERVICE", "ports": "PORTS", "alg": "ALG"},
    "sessions": {
        "proto": "L4",
        "inside": "INSIDE",
        "outside": "OUTSIDE",
        "remote": "REMOTE",
        "short_state": "STATE",
        "what": "ALG",
    },
    "bindings": {
        "proto": "PROTO",
        "inside": "INSIDE",
        "outside": "OUTSIDE",
        "kind": "KIND",
        "sessions": "SESSIONS",
        "age": "AGE",
    },
    "pinholes": {
        "inside": "INSIDE",
        "outside": "OUTSIDE",
        "remote": "REMOTE",
        "label": "FOR",
        "expires_in": "LEFT",
    },
    "subscribers": {
        "address": "SUBSCRIBER",
        "outside": "OUTSIDE",
        "ports": "PORTS",
        "bindings": "BINDINGS",
        "sessions": "SESSIONS",
        "pinholes": "PINHOLES",
    },
    "nat": {
        "pool": "POOL",
        "addresses": "ADDRESSES",
        "hosts": "HOSTS",
        "block_size": "PORTS OF A BLOCK",
        "blocks": "BLOCKS",
        "free": "FREE",
        "percent_free": "%",
    },
    "limits": {"limit": "LIMIT", "value": "VALUE", "used": "USED", "host": "BY"},
    "audit": {"revision": "REVISION", "when": "WHEN", "who": "WHO", "why": "WHY"},
    "events": {"time": "TIME", "level": "LEVEL", "text": "EVENT"},
}
_STATE = 5
"""The letters of a session's state on a terminal, so that a row fits 80 columns."""
_OWN_VIEWS = (*_COLUMNS, "config", "counters", "switch")
_SELECT = {
    "address": ("WHERE", "an end there: ADDRESS[/LENGTH][:PORT[-PORT]]"),
    "inside": ("WHERE", "the inside end there"),
    "outside": ("WHERE", "the outside end there"),
    "remote": ("WHERE", "the remote end there"),
    "port": ("PORT[-PORT]", "an end with one of these ports"),
    "proto": ("NAME", "tcp, udp, icmp, gre, esp or a number"),
    "alg": ("NAME", "what an ALG follows or has opened"),
    "state": ("STATE", "in this state"),
    "kind": ("KIND", "bindings of this kind"),
    "level": ("LEVEL", "events: info, warning, error"),
    "name": ("PATTERN", "counters of these names; * is any text"),
    "sort": ("KEY", "by this key of --json; -KEY: largest first"),
    "limit": ("N", "only the first N; of events, the last"),
}
WATCH_SECONDS = 2.0
PLAIN_VIEWS = ("sessions", "bindings", "subscribers")
"""The views that plain flows belong to: their results are objects with the rows in it."""


def views() -> dict[str, View | None]:
    """All views by name. The value is the `View` of one that an ALG brings, None for our own."""
    found: dict[str, View | None] = dict.fromkeys(_OWN_VIEWS)
    for alg in registry.algs().values():
        found.update(alg.views)
    return dict(sorted(found.items()))


class _Views(Collection[str]):
    """The names of all views. ALGs are asked for theirs last: to import them takes a while."""

    def __contains__(self, name: object) -> bool:
        return name in _OWN_VIEWS or name in views()

    def __iter__(self) -> Iterator[str]:
        return iter(views())

    def __len__(self) -> int:
        return len(views())


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "show",
        help="what the controller and its switch hold",
        description="What the controller and its switch hold: all, or the rows that are selected.",
    )
    parser.add_argument("what", choices=_Views(), metavar="VIEW", help="%(choices)s")
    parser.add_argument("--json", action="store_true", dest="as_json", help="everything, as JSON")
    parser.add_argument("--count", action="store_true", help="only how many there are")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=period,
        const=WATCH_SECONDS,
        metavar="SECONDS",
        help=f"again and again, until Ctrl-C (every {WATCH_SECONDS:g} s)",
    )
    add_selection(parser)
    add_organisation(parser)
    add_controller(parser)
    parser.set_defaults(handler=_run)


def add_selection(parser: argparse.ArgumentParser, leave_out: Sequence[str] = ()) -> None:
    """Add the options that select rows but those to `leave_out`; `selection` reads them."""
    group = parser.add_argument_group("which rows")
    offered = {name: text for name, text in _SELECT.items() if name not in leave_out}
    for name, (metavar, text) in offered.items():
        kind = int if name == "limit" else str
        group.add_argument(f"--{name}", metavar=metavar, help=text, type=kind)


def selection(args: argparse.Namespace) -> dict[str, object]:
    """What was given of the options that select rows, as a request brings it."""
    given = {name: getattr(args, name, None) for name in _SELECT}
    return {name: value for name, value in given.items() if value is not None}


def period(text: str) -> float:
    """Seconds between two looks, as an option brings them."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time from 0.1 to 3600 seconds")
    return seconds


def _run(args: argparse.Namespace) -> int:
    # To look for cycles among some million objects that have none takes a third of the time.
    gc.disable()
    if args.watch is None:
        _show(args)
        return 0
    try:
        while True:
            if sys.stdout.isatty():
                # To the top left, and everything below goes: a screen that is redrawn.
                print("\x1b[H\x1b[J", end="")
            _show(args)
            sys.stdout.flush()
            time.sleep(args.watch)
    except KeyboardInterrupt:
        return 0


def _show(args: argparse.Namespace) -> None:
    chosen = selection(args)
    wanted = {"what": args.what, "plain": True, "select": chosen, "count": args.count}
    whose = {} if args.organisation is None else {"organisation": args.organisation}
    result = client(args).call("show", **wanted, **whose)
    if args.as_json:
        # A line each, if there will be more of them.
        print(jsontext.dumps(result, indent=not args.watch).decode())
    elif args.count:
        print(_rows(args.what, result))
    else:
        shown = _rows(args.what, result)
        for line in lines(
            args.what, shown, bool(chosen), not sys.stdout.isatty(), args.organisation
        ):
            print(line)
    if args.what in PLAIN_VIEWS and not result["plain_flows"]:
        print(f"p4alg: {result['note']}", file=sys.stderr)


def _rows(what: str, result: Any) -> Any:
    """What is in a result for `lines`: for views with plain flows the rows alone."""
    return result["rows"] if what in PLAIN_VIEWS else result


def lines(
    what: str,
    result: Any,
    selected: bool = False,
    whole: bool = True,
    organisation: str | None = None,
) -> list[str]:
    """The result of a view as lines of text; whether only some rows were `selected`.

    If not `whole`, the lines have at most 80 columns, for which some words are cut; the
    organisation of a row has a column of its own before them. It has that if there are others
    than the default one, and if they are not the rows of one `organisation` that was asked for.
    """
    if what == "counters":
        width = max((len(name) for name in result), default=0)
        shown = [printable(f"{name:<{width}}  {number}") for name, number in result.items()]
        return shown or ["no such counters" if selected else "no counters yet"]
    if what == "switch":
        return _switch(result)
    if what == "config":
        return config_lines(result)
    if not result:
        return [f"no such {what}" if selected else f"no {what}"]
    view = None if what in _COLUMNS else views()[what]
    if view is not None:
        titles = {column.title: column.title for column in view.columns}
        cells: list[Row] = [
            {
                "organisation": row.get("organisation"),
                **{c.title: c.cell(row) for c in view.columns},
            }
            for row in result
        ]
        return render(cells, _with_organisation(titles, cells, organisation))
    rows: list[Row] = [
        {
            **row,
            "what": _what(row),
            "short_state": str(row.get("state"))[: None if whole else _STATE],
            **({"ports": _ports(row), **_totals(row)} if "blocks" in row else {}),
        }
        for row in result
    ]
    return render(rows, _with_organisation(_COLUMNS[what], rows, organisation))


def config_lines(found: Mapping[str, Any]) -> list[str]:
    """The configuration that holds, below comments that say whose it is."""
    why = f": {found['why']}" if found["why"] else ""
    head = [f"# {found['file']}, revision {found['revision']}"]
    head.append(f"# committed by {found['who']}, {found['when']}{why}")
    if found["needs_restart"]:
        head.append("# It waits for a restart of the controller.")
    if found["candidate"]:
        who = found["candidate"]
        head.append(f"# {who['who']} is changing it since {who['since']}: p4alg config diff")
    return [*map(printable, head), *found["text"].splitlines()]


def _with_organisation(
    columns: Mapping[str, str], rows: Sequence[Row], organisation: str | None
) -> Mapping[str, str]:
    others = {row.get("organisation") for row in rows} - {None, "", DEFAULT_ORGANISATION}
    if organisation is not None or not others:
        return columns
    return {"organisation": "ORGANISATION", **columns}


def _what(row: Row) -> str:
    """The ALG of a session, and the label that it gave the session."""
    alg, label = str(row.get("alg") or ""), str(row.get("label") or "")
    return label if label.startswith(alg) else f"{alg} {label}"


def _totals(row: Row) -> dict[str, int]:
    """Bindings and sessions of a subscriber, plain ones counted if they are known."""
    plain = {"bindings": row.get("plain_bindings"), "sessions": row.get("plain_sessions")}
    own = {name: row.get(name) for name in plain}
    return {
        name: count + own_count
        for name, count in plain.items()
        if isinstance(count, int) and isinstance(own_count := own[name], int)
    }


def _ports(row: Row) -> str:
    """The first block of a subscriber, and how many others it has."""
    blocks = row.get("blocks")
    if not isinstance(blocks, list) or not blocks:
        return ""
    return f"{blocks[0]} +{len(blocks) - 1}" if len(blocks) > 1 else str(blocks[0])


def _switch(result: dict[str, Any]) -> list[str]:
    head = f"switch {result['grpc']}, device {result['device_id']}, program {result['program']}"
    rows = [{"table": name, **table} for name, table in result["tables"].items()]
    columns = {"table": "TABLE", "entries": "ENTRIES", "size": "SIZE"}
    lacks = [f"  {line}" for text in result["lacks"] for line in wrap(text, 78)]
    return [head, *lacks, "", *render(rows, columns)]
