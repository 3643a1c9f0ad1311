"""`p4alg alg`: switch ALGs of the running controller on and off, and bind them to services."""

from __future__ import annotations

import argparse
from typing import Any

from p4alg.cli.connection import add_controller, add_organisation, client
from p4alg.cli.show import lines
from p4alg.config.errors import UsageError
from p4alg.engine.defaults import DEFAULT_ORGANISATION


def register(commands: Any) -> None:
    """Add the command and its own commands to the parser."""
    alg = commands.add_parser("alg", help="switch ALGs on and off, bind them to services")
    actions = alg.add_subparsers(metavar="ACTION", required=True)

    listing = actions.add_parser("list", help="all ALGs, their state and services")
    listing.set_defaults(handler=_list)
    for name, word in (("enable", "on"), ("disable", "off")):
        action = actions.add_parser(name, help=f"switch an ALG {word}")
        action.add_argument("name", metavar="NAME", help="of the ALG, as in the list")
        action.set_defaults(handler=_switch, command=name)
        add_organisation(action)
        add_controller(action)
    reset = actions.add_parser("reset", help="take back what was configured of an ALG")
    reset.add_argument("name", metavar="NAME", help="of the ALG, as in the list")
    reset.set_defaults(handler=_switch, command="reset")
    services = actions.add_parser("services", help="the services of an ALG, or set them")
    services.add_argument("name", metavar="NAME", help="of the ALG, as in the list")
    services.add_argument(
        "services",
        nargs="*",
        metavar="SERVICE",
        help="its services from now on, by their names in the configuration",
    )
    services.set_defaults(handler=_services)
    for action in (listing, reset, services):
        add_organisation(action)
        add_controller(action)


def _whose(args: argparse.Namespace) -> dict[str, Any]:
    return {} if args.organisation is None else {"organisation": args.organisation}


def _list(args: argparse.Namespace) -> int:
    rows = client(args).call("show", what="algs", **_whose(args))
    for line in lines("algs", rows, organisation=args.organisation):
        print(line)
    return 0


def _switch(args: argparse.Namespace) -> int:
    _tell(client(args).call(args.command, name=args.name, **_whose(args)))
    return 0


def _services(args: argparse.Namespace) -> int:
    if args.services:
        named = {"name": args.name, "services": args.services}
        _tell(client(args).call("services", **named, **_whose(args)))
        return 0
    algs = client(args).call("show", what="algs", **_whose(args))
    found = [alg for alg in algs if alg["name"] == args.name]
    if not found:
        known = ", ".join(dict.fromkeys(alg["name"] for alg in algs))
        raise UsageError(f"no ALG '{args.name}' (known: {known})")
    for alg in found:
        _tell(alg)
    return 0


def _tell(alg: dict[str, Any]) -> None:
    state = "on" if alg["enabled"] else "off"
    ports = ", ".join(alg["ports"]) or "no ports"
    services = " ".join(alg["services"]) or "none"
    whose = alg["organisation"]
    of = "" if whose == DEFAULT_ORGANISATION else f" of {whose}"
    print(f"{alg['name']}{of} is {state}, services: {services} ({ports})")
