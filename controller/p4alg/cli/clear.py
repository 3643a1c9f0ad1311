"""`p4alg clear`: ends sessions, bindings, pinholes, calls; sets counters to 0."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from p4alg.alg import registry
from p4alg.cli.connection import add_controller, add_organisation, client
from p4alg.cli.show import add_selection, selection

_OWN = ("sessions", "bindings", "pinholes", "counters")
_NO_ORDER = ("sort", "limit", "level")
"""Options of `show` that say nothing of what is to be cleared."""


def clearable() -> list[str]:
    """What can be cleared: our own views, and those of ALGs that can be ended."""
    views = [view for alg in registry.algs().values() for view in alg.views.items()]
    return [*_OWN, *(name for name, view in views if view.end is not None)]


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "clear",
        help="end sessions, bindings, pinholes, calls; reset counters",
        description="End what is selected, as 'p4alg show' with the same options lists it.",
    )
    known = ", ".join(clearable())
    parser.add_argument("what", choices=clearable(), metavar="WHAT", help=known)
    parser.add_argument("--all", action="store_true", help="all of them: needed without a filter")
    parser.add_argument("--dry-run", action="store_true", help="only tell how many")
    parser.add_argument("--json", action="store_true", dest="as_json", help="the result as JSON")
    add_selection(parser, leave_out=_NO_ORDER)
    add_organisation(parser)
    add_controller(parser)
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    whose = {} if args.organisation is None else {"organisation": args.organisation}
    result = client(args).call(
        "clear",
        what=args.what,
        select=selection(args),
        all=args.all,
        dry_run=args.dry_run,
        **whose,
    )
    if args.as_json:
        print(json.dumps(result, indent=2))
    else:
        print(told(args.what, result, dry_run=args.dry_run))
    if "note" in result:
        print(f"p4alg: {result['note']}", file=sys.stderr)
        return 1
    return 0


def told(what: str, result: dict[str, Any], *, dry_run: bool) -> str:
    """The result as a line."""
    count, kept = result["cleared"], result["kept"]
    word = what if count != 1 else what.removesuffix("s")
    done = "would be cleared" if dry_run else "cleared"
    static = f"; {kept} of the configuration stay" if kept else ""
    return f"{count} {word} {done}{static}"
