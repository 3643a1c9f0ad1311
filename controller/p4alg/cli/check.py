"""`p4alg check`: read a configuration and report the first error in it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from p4alg.alg import registry
from p4alg.artifacts import shipped
from p4alg.config import loader
from p4alg.config.errors import ConfigError, UserError
from p4alg.driver.capacity import overflow
from p4alg.driver.target import TargetError
from p4alg.engine.layout import all_entries
from p4alg.printable import printable


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("check", help="validate a configuration")
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the configuration file")
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    config = loader.read(args.config)
    settings = config.settings
    try:
        too_much = overflow(all_entries(settings), shipped(config.switch.program))
    except TargetError as error:
        raise UserError(str(error)) from None
    if too_much:
        raise ConfigError(f"{args.config}: {too_much}")
    for problem in registry.catalogue().problems:
        print(printable(f"p4alg: {problem}"), file=sys.stderr)
    on = ", ".join(alg.name for alg in settings.algs if alg.enabled) or "none"
    print(f"{args.config}: ok, {len(settings.zones)} zones, ALGs on: {on}")
    return 0
