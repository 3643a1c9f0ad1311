"""`p4alg clear` on a switch that forwards: what is cleared stops, and what is not goes on."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from p4alg.lab import plan, runner
from peers import flows
from tests.integration.conftest import BMV2, Lab, up
from tests.integration.marks import needs_lab

PROGRAMS = ("ip",)
PORT, SERVER = 7079, "198.51.100.11"
TALK = """
import socket, sys
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.bind(("", int(sys.argv[1])))
link.settimeout(2)
link.sendto(b"x", (sys.argv[2], int(sys.argv[3])))
link.recv(10)
"""

pytestmark = needs_lab(*PROGRAMS)


@pytest.fixture(scope="module", params=["embedded", BMV2])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with up(request.param) as found:
        flows.serve("outside1", PORT)
        yield found


def clear(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "p4alg", "clear", *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def talk(host: str, port: int) -> None:
    """A datagram from a port of a host, and its answer."""
    space = runner.current().hosts[host]
    command = [sys.executable, "-c", TALK, str(port), SERVER, str(PORT)]
    subprocess.run(plan.inside(space, *command), check=True, timeout=20)


def ports(lab: Lab, host: str) -> set[int]:
    result = lab.client.call("show", what="sessions", plain=True, select={"inside": host})
    return {int(row["inside"].rpartition(":")[2]) for row in result["rows"]}


def test_plain_sessions_of_one_host_are_cleared_where_the_switch_lets_them(lab: Lab) -> None:
    for host in ("inside1", "inside2"):
        for port in (40001, 40002):
            talk(host, port)
    if lab.client.call("show", what="sessions", plain=True)["plain_flows"]:
        assert ports(lab, "10.0.0.11") == {40001, 40002}
        done = clear("sessions", "--inside", "10.0.0.11:40001", "--dry-run")
        assert (done.returncode, done.stdout) == (0, "1 session would be cleared\n")
        assert ports(lab, "10.0.0.11") == {40001, 40002}
        done = clear("sessions", "--inside", "10.0.0.11:40001")
        assert (done.returncode, done.stdout) == (0, "1 session cleared\n")
        assert ports(lab, "10.0.0.11") == {40002}
        done = clear("bindings", "--inside", "10.0.0.11", "--kind", "plain")
        assert (done.returncode, done.stdout) == (0, "1 binding cleared\n")
        assert ports(lab, "10.0.0.11") == set()
        assert ports(lab, "10.0.0.12") == {40001, 40002}
    else:
        done = clear("sessions", "--inside", "10.0.0.11")
        assert (done.returncode, done.stdout) == (1, "0 sessions cleared\n")
        why = "this switch does not let registers be read"
        assert done.stderr == f"p4alg: plain flows are not cleared: {why}\n"
    # The host begins anew as if it had never spoken.
    talk("inside1", 40001)


def test_an_answer_to_a_cleared_session_is_not_let_in(lab: Lab) -> None:
    if not lab.client.call("show", what="sessions", plain=True)["plain_flows"]:
        pytest.skip("this switch does not let registers be read")
    talk("inside2", 40005)
    time.sleep(1.1)  # What was read of the registers is shown for a second.
    mine = {"inside": "10.0.0.12:40005"}
    (row,) = lab.client.call("show", what="sessions", plain=True, select=mine)["rows"]
    assert clear("sessions", "--inside", "10.0.0.12:40005").returncode == 0
    address, port = row["outside"].split(":")
    code = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        f"s.bind(('', 9)); s.sendto(b'x', ('{address}', {port}))"
    )
    before = lab.counter("switch.drops.no-mapping") + lab.counter("switch.drops.filtered")
    space = runner.current().hosts["outside1"]
    subprocess.run(plan.inside(space, sys.executable, "-c", code), check=True, timeout=20)
    after = lab.counter("switch.drops.no-mapping") + lab.counter("switch.drops.filtered")
    assert after == before + 1


def test_counters_of_the_switch_begin_again(lab: Lab) -> None:
    talk("inside1", 40009)
    assert lab.counter("switch.punts.arp")
    done = clear("counters", "--name", "switch.punts.*")
    assert re.fullmatch(r"[1-9][0-9]* counters? cleared\n", done.stdout), done.stderr
    assert done.returncode == 0
    assert lab.counter("switch.punts.subscriber") == 0
    assert lab.counter("subscribers.begun") > 0
