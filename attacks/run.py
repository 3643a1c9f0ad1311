"""Runs every attack against a running gateway and prints what got through.

Exit status: 0 if nothing got through, 1 if something did or could not be tried, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attacks import control, esp, forgery, machine, reading, starvation, streams
from attacks.table import Attack, World, perform
from p4alg.config.errors import UserError
from p4alg.daemon.client import Client
from p4alg.lab import plan, runner, topology

CONFIG = Path(__file__).parent / "gateway.config.yaml"
ATTACKS: tuple[Attack, ...] = (
    *streams.ATTACKS,
    *forgery.ATTACKS,
    *starvation.ATTACKS,
    *control.ATTACKS,
    *esp.ATTACKS,
    *reading.ATTACKS,
    *machine.ATTACKS,
)
_NEEDED = {"ip": "iproute2", "ethtool": "ethtool", "trafgen": "netsniff-ng", "ping": "iputils-ping"}


@contextmanager
def gateway(target: str) -> Iterator[World]:
    """The lab `nat` with the configuration that is attacked, while in the context."""
    # Beside a lab of the user's, and beside another run.
    name = f"attack{os.getpid() % 100000}"
    kept = os.environ.get("P4ALG_LAB")
    os.environ["P4ALG_LAB"] = name
    try:
        runner.up(topology.read(topology.find("nat")), target, CONFIG)
        try:
            socket = runner.control_socket()
            assert socket is not None
            yield World(Client(socket), target)
        finally:
            runner.down()
    finally:
        del os.environ["P4ALG_LAB"]
        if kept is not None:
            os.environ["P4ALG_LAB"] = kept


def targets(wanted: Sequence[str]) -> list[str]:
    """The targets to attack: those that are asked for, or those that are here."""
    here = shutil.which("simple_switch_grpc") is not None
    return [*wanted] or [target for target in plan.TARGETS if target != "bmv2" or here]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, attack, and tell."""
    parser = argparse.ArgumentParser(prog="attacks.run", description=__doc__)
    parser.add_argument("--target", action="append", choices=plan.TARGETS, default=[])
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="attacks with this in their name or topic"
    )
    options = parser.parse_args(arguments)
    chosen = [a for a in ATTACKS if options.only in f"{a.topic} {a.name}"]
    if not chosen:
        print(f"attacks: no attack has '{options.only}' in its name", file=sys.stderr)
        return 2
    for program, package in _NEEDED.items():
        if shutil.which(program) is None:
            print(f"attacks: '{program}' is not on PATH: install {package}", file=sys.stderr)
            return 1
    begun, bad = time.monotonic(), 0
    print(f"{'target':<9}{'':>2}  {'attack':<30}{'who':<16}result")
    try:
        for target in targets(options.target):
            with gateway(target) as world:
                bad += perform(world, chosen)
    except UserError as error:
        print(f"attacks: {error}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - begun
    verdict = f"{bad} got through or could not be tried" if bad else "nothing got through"
    print(f"{verdict} ({seconds:.0f} s)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
