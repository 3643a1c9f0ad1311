"""`p4alg run`: the controller in the foreground."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from p4alg.config import loader
from p4alg.daemon import app


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("run", help="run the controller in the foreground")
    parser.add_argument(
        "-c", "--config", type=Path, required=True, metavar="CONFIG", help="the configuration file"
    )
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    asyncio.run(app.run(loader.read(args.config)))
    return 0
