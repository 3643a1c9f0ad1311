"""Finds the controller that a command talks to: by its control socket, or by a console."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from p4alg.config import places
from p4alg.daemon.client import Client
from p4alg.lab import names

if TYPE_CHECKING:
    from p4alg.console.remote import Remote

REMOTE_VARIABLE = "P4ALG_REMOTE"


def add_socket(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the controller's socket."""
    _add_socket(parser)


def add_controller(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the controller, here or by a console."""
    group = parser.add_mutually_exclusive_group()
    _add_socket(group)
    group.add_argument(
        "--gateway", metavar="NAME", help="one of the console of 'p4alg console login'"
    )


def _add_socket(parser: Any) -> None:
    parser.add_argument(
        "--socket", type=Path, help="the controller's socket (default: the lab's, or the machine's)"
    )


def login_file() -> Path:
    """The file that keeps the login at a console."""
    chosen = os.environ.get(REMOTE_VARIABLE)
    return Path(chosen) if chosen else Path.home() / ".config" / "p4alg" / "login.json"


def add_organisation(parser: argparse.ArgumentParser) -> None:
    """Add the option that names an organisation."""
    parser.add_argument("--organisation", metavar="NAME", help="only this organisation's")


def client(args: argparse.Namespace) -> Client | Remote:
    """A client of the controller that --gateway names, else of the one that `find` finds."""
    device: str | None = getattr(args, "gateway", None)
    if device is None:
        return Client(find(args))
    # Nobody else has to wait for what HTTP and TLS bring along.
    from p4alg.console.remote import Remote, kept

    return Remote(kept(login_file()), device)


def find(args: argparse.Namespace) -> Path:
    """The socket that the option names, else the environment, else that of the lab that is up.

    Without any of these it is the default socket of the machine.
    """
    if args.socket is not None:
        chosen: Path = args.socket
        return chosen
    if not os.environ.get(places.SOCKET_VARIABLE):
        lab = names.control_socket()
        if lab is not None:
            return lab
    return places.default_socket()
