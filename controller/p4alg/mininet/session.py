"""A lab in Mininet with a prompt, as `p4alg lab mininet` gives it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mininet.cli import CLI

from p4alg.lab.runner import Options
from p4alg.lab.topology import Topology
from p4alg.mininet.net import LabNet


@contextmanager
def started(
    lab: Topology,
    target: str,
    configs: Mapping[str, Path],
    grpc_port: int | None,
    options: Options,
) -> Iterator[LabNet]:
    """A network that runs, and is stopped behind the block, also on SIGTERM."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        net = LabNet(
            lab,
            target,
            configs,
            controller=bool(configs),
            grpc_port=grpc_port,
            folder=options.folder,
            pcap=options.pcap,
            messages=options.messages,
            servers=options.servers,
            log_level=options.log_level,
        )
        net.start()
        try:
            yield net
        finally:
            net.stop()
    finally:
        signal.signal(signal.SIGTERM, before)


def prompt(net: LabNet) -> None:
    """Mininet's prompt, until the user leaves it."""
    CLI(net)
