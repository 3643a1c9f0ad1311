"""Datagrams that come in fragments, between real hosts (RFC 4787 REQ-14)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from p4alg.lab import plan, runner
from tests.integration.conftest import BMV2, CONFIG, Lab, up

POOL = "203.0.113.5"
PORT = 7000
SIZE = 3000

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
]

RECEIVE = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("", int(sys.argv[1])))
    s.settimeout(8)
    print("ready", flush=True)
    try:
        data, sender = s.recvfrom(65535)
        print(len(data), data == bytes(i % 251 for i in range(len(data))))
    except TimeoutError:
        print("nothing")
"""
SEND = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.sendto(bytes(i % 251 for i in range(int(sys.argv[3]))), (sys.argv[1], int(sys.argv[2])))
"""


@pytest.fixture(scope="module", params=["embedded", BMV2])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    raw = yaml.safe_load(CONFIG.read_text())
    raw["nat"]["pools"] = [f"{POOL}/32"]
    raw["nat"]["static"] = [
        {"protocol": "udp", "outside": f"{POOL}:{PORT + n}", "inside": f"10.0.0.11:{PORT + n}"}
        for n in range(4)
    ]
    config = tmp_path_factory.mktemp("fragments") / "fragments.yaml"
    config.write_text(yaml.safe_dump(raw))
    with up(request.param, config) as found:
        yield found


def said(host: str, *command: str) -> subprocess.Popen[str]:
    space = runner.current().hosts[host]
    return subprocess.Popen(plan.inside(space, *command), stdout=subprocess.PIPE, text=True)


def sent(sender: str, receiver: str, to: str, port: int, size: int = SIZE) -> str:
    """Send a datagram from a host to another, by the address `to`; what comes there."""
    with said(receiver, "python3", "-c", RECEIVE, str(port)) as there:
        assert there.stdout is not None
        assert there.stdout.readline() == "ready\n"
        with said(sender, "python3", "-c", SEND, to, str(port), str(size)) as here:
            assert here.wait(10) == 0
        return there.stdout.read().strip()


def test_N4787_14_a_datagram_in_fragments_begins_a_flow_to_a_host_of_unknown_MAC(lab: Lab) -> None:
    assert sent("outside1", "inside1", POOL, PORT) == f"{SIZE} True"


def test_N4787_14_a_datagram_in_fragments_begins_a_flow_from_outside(lab: Lab) -> None:
    assert sent("outside1", "inside1", POOL, PORT + 1, 1000) == "1000 True"
    assert sent("outside1", "inside1", POOL, PORT + 2) == f"{SIZE} True"
    assert sent("outside2", "inside1", POOL, PORT + 3, 8000) == "8000 True"


def test_N4787_14_a_datagram_in_fragments_begins_a_flow_from_inside(lab: Lab) -> None:
    assert sent("inside2", "outside1", "198.51.100.11", PORT) == f"{SIZE} True"
    assert sent("inside2", "outside2", "198.51.100.12", PORT, 8000) == "8000 True"
