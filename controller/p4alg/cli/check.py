"""`p4alg check`: read a configuration and report all errors in it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from p4alg.alg import registry
from p4alg.config.source import load_text
from p4alg.daemon.algs import alg_names, describe_algs
from p4alg.daemon.checking import check
from p4alg.engine.settings import Settings, all_zones
from p4alg.engine.tables import Side
from p4alg.printable import printable


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("check", help="validate a configuration")
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the configuration file")
    parser.add_argument(
        "--json", action="store_true", dest="as_json", help="what is in it, as JSON"
    )
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    organisations = check(load_text(args.config), args.config).organisations
    for problem in registry.catalogue().problems:
        print(printable(f"p4alg: {problem}"), file=sys.stderr)
    zones = all_zones(organisations)
    if args.as_json:
        rows = [_row(settings) for settings in organisations]
        found = {"file": str(args.config), "zones": [z.name for z in zones], "organisations": rows}
        print(json.dumps(found, indent=2))
        return 0
    on = {settings.name: alg_names(settings.algs) for settings in organisations}
    print(f"{args.config}: ok, {len(zones)} zones, {describe_algs(on)}")
    return 0


def _row(settings: Settings) -> dict[str, object]:
    inside = [zone.name for zone in settings.zones if zone.side is Side.INSIDE]
    return {
        "name": settings.name,
        "number": settings.organisation,
        "share": round(settings.share * 100, 1),
        "zones": inside,
        "pools": [str(pool) for pool in settings.pools],
        "algs": alg_names(settings.algs),
    }
