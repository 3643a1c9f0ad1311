"""Many short flows between two hosts of a lab: each begins anew, is answered once, and ends.

Also a program: `python -m peers.flows serve PORT`, `python -m peers.flows ask ADDRESS PORT COUNT`.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

from p4alg.lab import plan, runner

_PATIENCE = 1.0
"""Seconds that a flow has to be answered."""
_START_SECONDS = 10.0


def serve(host: str, port: int) -> None:
    """Start what answers in a host of the lab."""
    process = runner.start(f"flows-{port}", host, [*_program(), "serve", str(port)])
    until = time.monotonic() + _START_SECONDS
    while not runner.listens(process.pid, port, "udp"):
        if not process.alive() or time.monotonic() > until:
            raise RuntimeError("the answering end of the flows does not start")
        time.sleep(0.05)


def answered(host: str, address: str, port: int, count: int) -> int:
    """How many of `count` new flows of a host are answered within a second, one by one."""
    done = subprocess.run(
        plan.inside(
            runner.current().hosts[host],
            *_program(),
            *("ask", address, str(port), str(count)),
        ),
        capture_output=True,
        text=True,
        check=True,
        timeout=30 + 2 * count * _PATIENCE,
    )
    return int(done.stdout)


def _program() -> list[str]:
    return [sys.executable, str(Path(__file__).resolve())]


def _serve(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("", port))
        while True:
            data, peer = link.recvfrom(64)
            link.sendto(data, peer)


def _ask(address: str, port: int, count: int) -> int:
    good = 0
    for number in range(count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.connect((address, port))
            link.settimeout(_PATIENCE)
            link.send(b"%d" % number)
            try:
                good += link.recv(64) == b"%d" % number
            except OSError:
                continue
    return good


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(int(sys.argv[2]))
    else:
        print(_ask(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
