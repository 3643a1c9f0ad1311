"""`p4alg doctor`: what is wrong with this machine or a gateway on it, and what to do about it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from p4alg.cli import switch
from p4alg.config.errors import UserError
from p4alg.doctor import gateway
from p4alg.doctor.facts import Gateway
from p4alg.doctor.gateway import Wire
from p4alg.doctor.machine import machine
from p4alg.doctor.rules import Finding, Verdict, judge_gateway, judge_machine
from p4alg.lab import state
from p4alg.printable import printable

SERVICE = Path("/etc/p4alg/p4alg.yaml")
"""The configuration of the service, which is looked at if nothing else is named or up."""
SERVICE_SWITCH = Path("/etc/default/p4alg-switch")
"""The options of its switch."""


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "doctor",
        help="look for what is wrong here, and tell what to do",
        description="Look at this machine, and at a gateway: that of CONFIG; else of the lab "
        f"that is up; else of the service, if {SERVICE} is there. Nothing is changed.",
    )
    parser.add_argument(
        "config", nargs="?", type=Path, metavar="CONFIG", help="a gateway's configuration"
    )
    parser.add_argument(
        "-i",
        "--interface",
        action="append",
        type=_wire,
        metavar="PORT@IFACE",
        dest="ports",
        help="a port of its switch (default: those of the service)",
    )
    parser.add_argument(
        "--json", action="store_true", dest="as_json", help="a list of objects, as JSON"
    )
    parser.set_defaults(handler=_run)


def _wire(text: str) -> Wire:
    found = gateway.wires(["-i", text])
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}' is not PORT@IFACE")
    return found[0]


def _run(args: argparse.Namespace) -> int:
    findings = list(judge_machine(machine(switch.compiler)))
    for one in _gateways(args.config, tuple(args.ports) if args.ports else None):
        findings += judge_gateway(one)
    if args.as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        wide = max(len(finding.about) for finding in findings)
        for finding in findings:
            print(_line(finding, wide))
    failed = sum(finding.verdict is Verdict.FAIL for finding in findings)
    if failed:
        raise UserError(f"{failed} of {len(findings)} checks failed: do what their lines say")
    return 0


def _gateways(config: Path | None, ports: tuple[Wire, ...] | None) -> Iterator[Gateway]:
    if config is None and ports is None:
        lab = state.load(state.directory())
        if lab is not None:
            yield from gateway.of_lab(lab)
            return
    if config is None and SERVICE.exists():
        config = SERVICE
    if config is not None:
        is_service = config == SERVICE
        if is_service and ports is None:
            ports = gateway.service_wires(SERVICE_SWITCH)
        yield gateway.of_file(config, ports, is_service=is_service)
    elif ports is not None:
        yield gateway.of_ports(ports)


def _line(finding: Finding, wide: int) -> str:
    advice = f": {finding.advice}" if finding.advice else ""
    return printable(f"{finding.verdict:<4}  {finding.about:<{wide}}  {finding.text}{advice}")
