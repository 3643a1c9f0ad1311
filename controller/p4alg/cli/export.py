"""`p4alg export`: NAT events for other systems."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any

from p4alg.cli.connection import add_socket, find
from p4alg.config.errors import UserError
from p4alg.daemon.client import Client


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("export", help="NAT events for a collector, as IPFIX")
    formats = parser.add_subparsers(metavar="FORMAT", required=True)
    ipfix = formats.add_parser(
        "ipfix",
        help="IPFIX over UDP (RFC 7011), with the records of RFC 8158",
        description="Send sessions that the controller knows, and blocks of ports, to an IPFIX "
        "collector as they come, until the controller ends.",
    )
    ipfix.add_argument(
        "--collector", required=True, metavar="HOST[:PORT]", help="where to send (port 4739)"
    )
    ipfix.add_argument(
        "--domain",
        type=int,
        default=1,
        metavar="N",
        help="observation domain, which tells gateways apart (%(default)s)",
    )
    add_socket(ipfix)
    ipfix.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    try:
        # What it stands on is optional.
        from p4alg.export import sending
    except ModuleNotFoundError as error:
        raise UserError(f"needs {error.name}: pip install 'p4alg[export]'") from None
    if not 0 < args.domain < 2**32:
        args.parser.error("argument --domain: 1 to 4294967295")
    with suppress(KeyboardInterrupt):
        sending.send(Client(find(args)), sending.collector(args.collector), args.domain)
    return 0
