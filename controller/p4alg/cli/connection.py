"""Finds the control socket of the controller that a command talks to."""

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


def add_organisation(parser: argparse.ArgumentParser) -> None:
    """Add the option that names an organisation."""
    parser.add_argument("--organisation", metavar="NAME", help="only this organisation's")


def client(args: argparse.Namespace) -> Client:
    """A client of the controller that `find` finds."""
    return Client(find(args))


def find(args: argparse.Namespace) -> Path:
    """The socket that the option names, else the environment, else that of the lab that is up.

    Without any of these it is the default socket of the machine.
    """
    if args.socket is not None:
        chosen: Path = args.socket
        return chosen
    if not os.environ.get(loader.SOCKET_VARIABLE):
        lab = runner.control_socket()
        if lab is not None:
            return lab
    return loader.default_socket()
