"""`p4alg run`: the controller in the foreground."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from p4alg.config import loader
from p4alg.config.errors import UserError
from p4alg.config.switch import is_address
from p4alg.daemon import app

# The library's logger of P4Runtime messages. `app` silences what is above it.
_MESSAGES = "finsy.msg"


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("run", help="run the controller in the foreground")
    parser.add_argument(
        "-c", "--config", type=Path, required=True, metavar="CONFIG", help="the configuration file"
    )
    parser.add_argument(
        "--grpc", type=_address, metavar="ADDRESS", help="instead of the file's switch.grpc"
    )
    parser.add_argument(
        "--device-id", type=_device, metavar="N", help="instead of the file's switch.device_id"
    )
    parser.add_argument(
        "--p4runtime-log", type=Path, metavar="FILE", help="write every P4Runtime message there"
    )
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    config = loader.read(args.config)
    switch = config.switch
    if args.grpc is not None:
        switch = replace(switch, grpc=args.grpc)
    if args.device_id is not None:
        switch = replace(switch, device_id=args.device_id)
    if args.p4runtime_log is not None:
        _log_messages(args.p4runtime_log)
    # libuv's loop does the same with less work for each message than the standard library's.
    uvloop.run(app.run(replace(config, switch=switch)))
    return 0


def _address(text: str) -> str:
    if not is_address(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not HOST:PORT or unix:/PATH")
    return text


def _device(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 1 << 63:
        raise argparse.ArgumentTypeError(f"'{text}' is not a device id")
    return int(text)


def _log_messages(file: Path) -> None:
    try:
        handler = logging.FileHandler(file, mode="w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    messages = logging.getLogger(_MESSAGES)
    messages.addHandler(handler)
    messages.setLevel(logging.DEBUG)
    messages.propagate = False
