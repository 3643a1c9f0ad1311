"""What an independent program finds out about the NAT: coturn's RFC 5780 discovery.

The STUN server has two addresses, as RFC 5780 wants; the second is added to the host here.
"""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass

from p4alg.lab import plan, runner, state

PROGRAMS = ("turnserver", "turnutils_natdiscovery")
ADDRESSES = ("198.51.100.11", "198.51.100.111")
PORT = 3478
_START_SECONDS = 10.0
_VERDICT = re.compile(r"^NAT with (.+)!$", re.M)
_MAPPED = re.compile(r"UDP reflexive addr: (\S+)")


@dataclass(frozen=True, slots=True)
class Found:
    """What the program says of the NAT, and which outside endpoints it has seen."""

    verdict: str
    mapped: tuple[str, ...]
    said: str


def serve(host: str) -> None:
    """Start a STUN server with two addresses in a host of the lab."""
    space = runner.current().hosts[host]
    add = ["ip", "-n", space, "addr", "add", f"{ADDRESSES[1]}/24", "dev", "eth0"]
    subprocess.run(add, check=True)
    folder = state.directory()
    command = ["turnserver", "-n", "--no-tls", "--no-dtls", "--no-auth", "--no-cli"]
    command += ["--log-file", "stdout", "--pidfile", str(folder / "turn.pid")]
    command += ["--userdb", str(folder / "turn.db")]
    command += [word for address in ADDRESSES for word in ("-L", address)]
    server = runner.start("stun", host, command)
    until = time.monotonic() + _START_SECONDS
    while not runner.listens(server.pid, PORT, "udp"):
        if not server.alive() or time.monotonic() > until:
            raise RuntimeError("turnserver does not start")
        time.sleep(0.05)


def discover(host: str, what: str) -> Found:
    """Ask for the `mapping` or the `filtering` behaviour."""
    command = ["turnutils_natdiscovery", {"mapping": "-m", "filtering": "-f"}[what], ADDRESSES[0]]
    done = subprocess.run(
        plan.inside(runner.current().hosts[host], *command),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    verdict = _VERDICT.search(done.stdout)
    mapped = tuple(dict.fromkeys(_MAPPED.findall(done.stdout)))
    return Found(verdict[1] if verdict else "", mapped, done.stdout + done.stderr)
