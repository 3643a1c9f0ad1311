"""Network namespaces for tests: made, filled with veth pairs, and taken away again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None,
    reason="needs root and iproute2 for network namespaces",
)


@contextmanager
def namespace(tag: str, pairs: Sequence[tuple[str, str]]) -> Iterator[list[str]]:
    """Yields the command prefix that runs a program in a new namespace with these veth pairs."""
    name = f"ssw-{tag}-{os.getpid()}"
    inside = ["ip", "netns", "exec", name]
    link = ["ip", "-n", name, "link"]
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for pair in pairs:
            a, b = pair
            subprocess.run([*link, "add", a, "type", "veth", "peer", "name", b], check=True)
            for end in pair:
                # Router solicitations would be packets that no test has sent.
                quiet = f"net.ipv6.conf.{end}.disable_ipv6=1"
                subprocess.run([*inside, "sysctl", "-q", "-w", quiet], check=True)
                subprocess.run([*link, "set", end, "up"], check=True)
        subprocess.run([*link, "set", "lo", "up"], check=True)
        yield inside
    finally:
        # A program that was killed may have left others behind.
        left = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
        for pid in left.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", name], check=True)
