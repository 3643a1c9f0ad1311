"""`p4alg switch`: the embedded P4Runtime switch in the foreground."""

from __future__ import annotations

import argparse
from typing import Any

from p4alg.doctor.facts import Compiler
from p4softswitch import cli as softswitch


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("switch", help="run the embedded P4Runtime switch")
    softswitch.add_arguments(parser)
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    return softswitch.run(args)


def compiler() -> Compiler:
    """Try the C compiler of the switch. It takes some seconds the first time."""
    try:
        found = softswitch.compiler()
    except softswitch.CompilerError as error:
        return Compiler(error=str(error))
    return Compiler(found.version, cache=str(found.cache), kept=found.kept)
