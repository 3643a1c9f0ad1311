"""`p4alg console`: serves the web page and the HTTP API, and says who may log in there."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from p4alg.cli.connection import find, login_file
from p4alg.config.errors import UsageError, UserError
from p4alg.console import remote

STATE_VARIABLE = "P4ALG_CONSOLE_STATE"
_STATE = "/var/lib/p4alg/console"
_ROLES = ("admin", "read-only")


def register(commands: Any) -> None:
    """Add the command and its own commands to the parser."""
    console = commands.add_parser(
        "console",
        help="a web page and an HTTP API for gateways",
        description="Serve a web page and an HTTP API for one or several gateways.",
    )
    console.add_argument(
        "--listen", type=_place, default=("127.0.0.1", 8470), metavar="ADDRESS:PORT",
        help="where browsers find it (127.0.0.1:8470)",
    )  # fmt: skip
    console.add_argument(
        "--device", action="append", default=[], metavar="NAME=SOCKET",
        help="a gateway by its controller's socket; repeatable (gateway=the one of 'p4alg show')",
    )  # fmt: skip
    console.add_argument(
        "--state", type=Path, default=None, metavar="DIR",
        help=f"keeps users and audit ({STATE_VARIABLE}, else {_STATE})",
    )  # fmt: skip
    console.add_argument(
        "--name", action="append", default=[], metavar="HOST",
        help="another name that browsers know it by; repeatable",
    )  # fmt: skip
    console.add_argument("--tls-cert", type=Path, metavar="FILE", help="serve TLS (PEM)")
    console.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key")
    console.set_defaults(handler=_serve, socket=None)
    _register_more(console.add_subparsers(metavar="ACTION"))


def _register_more(actions: Any) -> None:
    document = actions.add_parser("openapi", help="print the OpenAPI document of the API")
    document.set_defaults(handler=_openapi)
    login = actions.add_parser("login", help="log in at a console, for --gateway of other commands")
    login.add_argument("url", metavar="URL", help="of the console, as its browsers know it")
    login.add_argument("--user", metavar="NAME", help="log in as (default: is asked for)")
    login.add_argument("--ca", type=Path, metavar="FILE", help="the authority of its certificate")
    login.set_defaults(handler=_login)
    logout = actions.add_parser("logout", help="log out there")
    logout.set_defaults(handler=_logout)
    user = actions.add_parser("user", help="who may log in").add_subparsers(
        metavar="ACTION", required=True
    )
    listing = user.add_parser("list", help="all users and their roles")
    listing.set_defaults(handler=_list)
    add = user.add_parser("add", help="add a user, or give one another password or role")
    add.add_argument("--role", choices=_ROLES, required=True, help="admin may change things")
    add.set_defaults(handler=_add)
    remove = user.add_parser("remove", help="remove a user")
    remove.set_defaults(handler=_remove)
    for action in (add, remove):
        action.add_argument("user", metavar="NAME", help="of the user")
    for action in (listing, add, remove):
        # A default here would win over what was given in front of the action.
        action.add_argument(
            "--state", type=Path, default=argparse.SUPPRESS, metavar="DIR",
            help=f"keeps users and audit ({STATE_VARIABLE}, else {_STATE})",
        )  # fmt: skip


def _place(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not ADDRESS:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _state(args: argparse.Namespace) -> Path:
    return args.state or Path(os.environ.get(STATE_VARIABLE) or _STATE)


def _serving() -> ModuleType:
    """The module that serves. Raises `UserError` where the packages that it needs are not."""
    try:
        from p4alg.console import serving
    except ModuleNotFoundError as error:
        raise UserError(
            f"the console needs the Python package {error.name}: pip install 'p4alg[console]'"
        ) from None
    return serving


def _serve(args: argparse.Namespace) -> int:
    serving = _serving()
    from p4alg.console.devices import named

    if (args.tls_cert is None) != (args.tls_key is None):
        raise UsageError("--tls-cert and --tls-key belong together")
    tls = None if args.tls_cert is None else serving.Tls(args.tls_cert, args.tls_key)
    place = serving.Place(*args.listen, tls, serving.checked_names(args.name))
    serving.serve(place, _state(args), named(args.device) or {"gateway": find(args)})
    return 0


def _openapi(_: argparse.Namespace) -> int:
    _serving()
    from p4alg.console.site import document

    print(json.dumps(document(), indent=1))
    return 0


def _login(args: argparse.Namespace) -> int:
    # Before somebody types a password in vain.
    remote.origin(args.url)
    name = args.user or (input("name: ") if sys.stdin.isatty() else sys.stdin.readline().strip())
    login = remote.begin(args.url, name, _password(f"password of {name}: "), args.ca)
    remote.keep(login_file(), login)
    print(f"{name} is logged in at {login.url}")
    return 0


def _logout(_: argparse.Namespace) -> int:
    login = remote.kept(login_file())
    login_file().unlink(missing_ok=True)
    remote.end(login)
    print(f"logged out at {login.url}")
    return 0


def _password(prompt: str) -> str:
    """A password, from the terminal without showing it, or from the next line of a pipe."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.readline().rstrip("\r\n")


def _list(args: argparse.Namespace) -> int:
    users = _serving().users_in(_state(args)).all()
    for name, user in users.items():
        print(f"{name}  {user.role}")
    if not users:
        print("no users")
    return 0


def _add(args: argparse.Namespace) -> int:
    users = _serving().users_in(_state(args))
    from p4alg.console.users import make

    password = _password(f"password of {args.user}: ")
    if sys.stdin.isatty() and _password("once more: ") != password:
        raise UsageError("these were two different passwords")
    users.put(args.user, make(args.role, password))
    print(f"{args.user} may log in as {args.role}")
    return 0


def _remove(args: argparse.Namespace) -> int:
    _serving().users_in(_state(args)).remove(args.user)
    print(f"{args.user} may not log in any more")
    return 0
