"""`p4alg trace`: prints each control message while it passes, and the pinholes it opens."""

from __future__ import annotations

import argparse
import difflib
import json
from ipaddress import IPv4Address
from typing import Any

from p4alg.alg import registry
from p4alg.cli.connection import add_controller, add_organisation, client
from p4alg.config.errors import UsageError
from p4alg.engine.defaults import DEFAULT_ORGANISATION
from p4alg.printable import printable

_SHOWN = 160
"""The most bytes of a message that are shown on a line."""


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("trace", help="control messages, live")
    parser.add_argument("--alg", metavar="NAME", help="only this ALG's")
    parser.add_argument("--host", metavar="ADDR", type=_address, help="only those of this host")
    add_organisation(parser)
    parser.add_argument("--json", action="store_true", dest="as_json", help="one object a line")
    add_controller(parser)
    parser.set_defaults(handler=_run)


def _address(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not an IPv4 address") from None


def _run(args: argparse.Namespace) -> int:
    known = registry.algs()
    if args.alg is not None and args.alg not in known:
        raise UsageError(f"no ALG '{args.alg}' (known: {', '.join(known)})")
    try:
        for record in client(args).trace():
            if _wanted(record, args.alg, args.host, args.organisation):
                if args.as_json:
                    print(json.dumps(record), flush=True)
                else:
                    print("\n".join(lines(record)), flush=True)
    except KeyboardInterrupt:
        pass
    return 0


def _wanted(
    record: dict[str, Any], alg: str | None, host: str | None, organisation: str | None = None
) -> bool:
    ends = {record["client"].rpartition(":")[0], record["server"].rpartition(":")[0]}
    if organisation not in (None, record["organisation"]):
        return False
    return alg in (None, record["alg"]) and (host is None or host in ends)


def lines(record: dict[str, Any]) -> list[str]:
    """A trace record as lines of text for a terminal."""
    clock = record["time"][11:23]
    arrow = "->" if record["sender"] == "client" else "<-"
    why = f" ({record['reason']})" if record["reason"] else ""
    whose = record["organisation"]
    whose = "" if whose == DEFAULT_ORGANISATION else f"{whose} "
    head = f"{clock} {whose}{record['alg']} {record['client']} {arrow} {record['server']}"
    shown = [f"{head} {record['verdict']}{why}"]
    if not record["before"]:
        # A record without bytes is an event of the session, not a message.
        shown.append(f"  {record['summary']}")
    elif record["before"].count("\r\n") > 1:
        shown += _text(record)
    else:
        shown.append(f"  read  {_bytes(record['before'])}")
        if record["after"] and record["after"] != record["before"]:
            shown.append(f"  sent  {_bytes(record['after'])}")
    shown += [f"  open  {pinhole}" for pinhole in record["pinholes"]]
    if record.get("missed"):
        shown.append(f"  ({record['missed']} messages before this one were not shown)")
    return [printable(line) for line in shown]


def _text(record: dict[str, Any]) -> list[str]:
    """A message of several lines: its first line, the summary, and the lines that were changed."""
    before = record["before"].split("\r\n")
    after = record["after"].split("\r\n") if record["after"] else before
    shown = [f"  {_bytes(before[0])}", f"  {record['summary']}"]
    for line in difflib.ndiff(before, after):
        if line[:2] in ("- ", "+ "):
            shown.append(f"  {line[0]} {_bytes(line[2:])}")
    return shown


def _bytes(data: str) -> str:
    """Bytes as printable text. Other bytes are escaped, and a long text is cut."""
    cut = data[:_SHOWN]
    text = cut.encode("unicode_escape").decode("ascii")
    return text + ("..." if len(data) > _SHOWN else "")
