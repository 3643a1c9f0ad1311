"""Which controller a command talks to."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from p4alg.config import loader
from p4alg.daemon.client import Client
from p4alg.lab import runner


def add_socket(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the controller's socket."""
    parser.add_argument(
        "--socket", type=Path, help="the controller's socket (default: the lab's, or the machine's)"
    )


def client(args: argparse.Namespace) -> Client:
    """The controller asked for: by option, by environment, of the lab, of the machine."""
    return Client(find(args))


def find(args: argparse.Namespace) -> Path:
    """The socket of the controller asked for."""
    if args.socket is not None:
        chosen: Path = args.socket
        return chosen
    if not os.environ.get(loader.SOCKET_VARIABLE):
        lab = runner.control_socket()
        if lab is not None:
            return lab
    return loader.default_socket()
