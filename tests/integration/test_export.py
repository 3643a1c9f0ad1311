"""NAT events in a real IPFIX collector (nfcapd of nfdump)."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import CONFIG, Lab, up
from tests.integration.marks import needs_lab

PROGRAMS = ("nfcapd", "nfdump")
SECONDS = 20.0
READ = """
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(
    b"\\0\\1boot\\0octet\\0", ("198.51.100.11", 69))
"""

pytestmark = needs_lab(*PROGRAMS)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with up("embedded", CONFIG) as found:
        yield found


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("127.0.0.1", 0))
        number: int = link.getsockname()[1]
        return number


def listens(port: int) -> bool:
    return f":{port:04X} " in Path("/proc/net/udp").read_text(encoding="ascii")


def records(folder: Path) -> list[dict[str, str]]:
    """What the collector has kept, a dictionary for each record."""
    (file,) = folder.glob("nfcapd.*")
    shown = subprocess.run(
        ["nfdump", "-q", "-r", str(file), "-o", "raw"], capture_output=True, text=True, check=True
    ).stdout
    return [
        {
            name.strip(): value.strip()
            for name, equals, value in (line.partition("=") for line in record.splitlines())
            if equals
        }
        for record in shown.split("Flow Record:")[1:]
    ]


def test_a_collector_hears_of_sessions_and_blocks(lab: Lab, tmp_path: Path) -> None:
    port = free_port()
    collector = subprocess.Popen(
        ["nfcapd", "-w", str(tmp_path), "-b", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    exporter = subprocess.Popen(
        [sys.executable, "-m", "p4alg", "export", "ipfix", "--collector", f"127.0.0.1:{port}"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + SECONDS
        while not listens(port):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert exporter.stderr is not None
        assert exporter.stderr.readline() == f"p4alg: sending events to 127.0.0.1:{port}\n"
        time.sleep(1.0)
        assert lab.background("inside1", "python3", "-c", READ).wait(10) == 0
        while not any(row["event"] == "opened" for row in lab.client.call("events")):
            assert time.monotonic() < until
            time.sleep(0.05)
        time.sleep(1.0)
    finally:
        for process in (exporter, collector):
            process.terminate()
            process.wait(10)
    told = {record["nat event"].partition(":")[0]: record for record in records(tmp_path)}
    (row,) = lab.show("sessions")
    outside, _, outside_port = row["outside"].partition(":")
    session, block = told["4"], told["16"]
    assert (session["src addr"], session["src xlt ip"]) == ("10.0.0.11", outside)
    assert (session["src xlt port"], session["dst port"]) == (outside_port, "69")
    assert session["dst addr"] == "198.51.100.11"
    assert (block["src addr"], block["src xlt ip"]) == ("10.0.0.11", outside)
