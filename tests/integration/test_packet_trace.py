"""`p4alg packet-trace` foretells what the switch does with real packets, and changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from p4alg.packet.ipv4 import parse_ipv4
from p4alg.packet.udp import parse_udp
from p4softswitch.io.pcap import PcapWriter
from peers import flows
from tests.integration.conftest import BMV2, Lab, up
from tests.integration.test_clear import PORT, SERVER, talk

INSIDE, POOL_FREE = "10.0.0.11", "203.0.113.14"
INSIDE_PORT, OUTSIDE_PORT = "1", "3"

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip on PATH"),
]


@pytest.fixture(scope="module", params=["embedded", BMV2])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with up(request.param) as found:
        flows.serve("outside1", PORT)
        # The host gets its block of ports.
        talk("inside1", 40001)
        yield found


def trace(*argv: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "p4alg", "packet-trace", "--json", *argv]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def sent(found: dict[str, Any]) -> bytes:
    """The only frame that leaves."""
    (frame,) = [step["frame"] for step in found["steps"] if step["step"] == "sent"]
    return bytes.fromhex(frame)


def sessions(lab: Lab) -> dict[str, str]:
    """The outside end of each session of the registers, by its inside end."""
    rows = lab.client.call("show", what="sessions", plain=True)["rows"]
    return {row["inside"]: row["outside"] for row in rows if row["kept_by"] == "switch"}


def outside_of(lab: Lab, inside: str) -> str:
    """The outside end of a session. The controller shows for a second what it has read."""
    until = time.monotonic() + 5
    while inside not in (found := sessions(lab)):
        assert time.monotonic() < until, f"{inside} has no session"
        time.sleep(0.2)
    return found[inside]


def counters(lab: Lab) -> dict[str, int]:
    """All counters but those that neighbours change by asking each other for their addresses."""
    return {name: n for name, n in lab.show("counters").items() if "arp" not in name}


def test_it_foretells_the_outside_port_of_a_new_flow_and_begins_none(lab: Lab) -> None:
    reads = lab.client.call("show", what="sessions", plain=True)["plain_flows"]
    before, counted = sessions(lab), counters(lab)
    found = trace("--in", INSIDE_PORT, "udp", f"{INSIDE}:40002", f"{SERVER}:{PORT}")
    assert (found["result"], found["registers"]) == ("forwarded", reads)
    packet = parse_ipv4(sent(found))
    (verdict,) = [s for s in found["steps"] if str(s.get("table", "")).endswith("verdict.verdict")]
    assert verdict["action"].endswith("claim")
    assert sessions(lab) == before
    assert counters(lab) == counted
    talk("inside1", 40002)
    if reads:
        outside = f"{packet.src >> 24}.{packet.src >> 16 & 255}.{packet.src >> 8 & 255}"
        outside += f".{packet.src & 255}:{parse_udp(packet).src_port}"
        assert outside_of(lab, f"{INSIDE}:40002") == outside


def test_it_knows_the_flows_in_the_registers(lab: Lab) -> None:
    if not lab.client.call("show", what="sessions", plain=True)["plain_flows"]:
        pytest.skip("the switch does not let registers be read")
    talk("inside1", 40003)
    outside = outside_of(lab, f"{INSIDE}:40003")
    answer = trace("--in", OUTSIDE_PORT, "udp", f"{SERVER}:{PORT}", outside)
    packet = parse_ipv4(sent(answer))
    assert (parse_udp(packet).src_port, parse_udp(packet).dst_port) == (PORT, 40003)
    stranger = trace("--in", OUTSIDE_PORT, "udp", "198.51.100.12:9", outside)
    assert (stranger["result"], stranger["reason"]) == ("dropped", "filtered")


def test_it_tells_why_a_packet_is_dropped_or_goes_to_the_controller(lab: Lab) -> None:
    nobody = trace("--in", OUTSIDE_PORT, "udp", f"{SERVER}:9", f"{POOL_FREE}:9")
    assert (nobody["result"], nobody["reason"]) == ("dropped", "no-mapping")
    forged = trace("--in", INSIDE_PORT, "udp", "192.0.2.1:9", f"{SERVER}:9")
    assert (forged["result"], forged["reason"]) == ("dropped", "source")
    control = trace("--in", INSIDE_PORT, "tcp", f"{INSIDE}:40004", f"{SERVER}:21")
    assert (control["result"], control["reason"]) == ("controller", "new-flow")


def test_a_frame_of_a_file_runs_as_it_is(lab: Lab, tmp_path: Path) -> None:
    made = trace("--in", INSIDE_PORT, "udp", f"{INSIDE}:40005", f"{SERVER}:{PORT}")
    writer = PcapWriter(tmp_path / "one.pcap")
    writer.write(bytes(60), 0)
    writer.write(bytes.fromhex(made["frame"]), 1)
    again = trace("--in", INSIDE_PORT, "--pcap", str(tmp_path / "one.pcap"), "2")
    assert again["frame"] == made["frame"]
    assert sent(again) == sent(made)
