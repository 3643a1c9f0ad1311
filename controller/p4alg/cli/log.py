"""`p4alg log`: which lines the running controller logs."""

from __future__ import annotations

import argparse
from typing import Any

from p4alg.cli.connection import add_socket, client
from p4alg.cli.table import render


def register(commands: Any) -> None:
    """Add the command and its own command to the parser."""
    log = commands.add_parser("log", help="which lines the controller logs")
    actions = log.add_subparsers(metavar="ACTION", required=True)
    level = actions.add_parser(
        "level", help="the level of each subsystem, or set it until the next start"
    )
    level.add_argument("subsystem", nargs="?", metavar="SUBSYSTEM", help="as listed, or 'all'")
    level.add_argument("level", nargs="?", metavar="LEVEL", help="info, warning, error or none")
    add_socket(level)
    level.set_defaults(handler=_level)


def _level(args: argparse.Namespace) -> int:
    given = {"subsystem": args.subsystem} if args.subsystem else {}
    given |= {"level": args.level} if args.level else {}
    levels = client(args).call("log", **given)
    rows = [{"subsystem": name, "level": level} for name, level in levels.items()]
    for line in render(rows, {"subsystem": "SUBSYSTEM", "level": "LEVEL"}):
        print(line)
    return 0
