"""What is told to senders whose packets go nowhere, as their programs see it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from p4alg.lab import plan, runner
from tests.integration.conftest import BMV2, CONFIG, Lab, up

POOL = "203.0.113.5"

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
]

CONNECT = """
import socket, sys, time
begun = time.monotonic()
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
    print("connected", 0)
except OSError as error:
    print(error.errno or "timeout", round(time.monotonic() - begun, 1))
"""


@pytest.fixture(scope="module", params=["embedded", BMV2])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    raw = yaml.safe_load(CONFIG.read_text())
    raw["nat"]["pools"] = [f"{POOL}/32"]
    raw.pop("routes", None)
    config = tmp_path_factory.mktemp("silence") / "silence.yaml"
    config.write_text(yaml.safe_dump(raw))
    with up(request.param, config) as found:
        yield found


def connect(host: str, addr: str, port: int) -> tuple[str, float]:
    """Connect from a host; the error number, and the seconds that it took."""
    done = subprocess.run(
        plan.inside(runner.current().hosts[host], "python3", "-c", CONNECT, addr, str(port)),
        capture_output=True,
        text=True,
        timeout=40,
        check=True,
    )
    error, seconds = done.stdout.split()
    return error, float(seconds)


def test_a_packet_without_a_route_is_answered_at_once(lab: Lab) -> None:
    ENETUNREACH = "101"
    # The first packet of a host asks for its block; it may be lost on the way back.
    error, seconds = connect("inside1", "192.0.2.1", 80)
    assert (error, seconds < 3.0) == (ENETUNREACH, True)
    error, seconds = connect("inside1", "192.0.2.1", 80)
    assert (error, seconds < 0.5) == (ENETUNREACH, True)


def test_N5382_4_a_SYN_from_outside_is_refused_after_six_seconds(lab: Lab) -> None:
    ECONNREFUSED = "111"
    before = lab.counter("syns.answered")
    error, seconds = connect("outside1", POOL, 4711)
    assert error == ECONNREFUSED
    assert 6.0 <= seconds <= 9.0
    assert lab.counter("syns.answered") == before + 1
