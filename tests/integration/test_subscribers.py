"""Inside hosts and their blocks of outside ports, with real hosts, on each target."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from p4alg.lab import plan, runner, topology
from tests.integration.conftest import BMV2, CONFIG, FEWER, PREFIX, Lab, bring_up
from tests.integration.marks import needs_lab

OUTSIDE, POOL = "198.51.100.11", "203.0.113.5"
SHORT = 3
"""Seconds that any flow lives in this lab; a block comes back after as many."""
PROGRAMS = ("ip", "ping", "curl", "python3")

pytestmark = needs_lab(*PROGRAMS)


def configuration(folder: Path) -> Path:
    """The lab's own configuration, with one outside address of three blocks and short timers."""
    raw = yaml.safe_load(CONFIG.read_text())
    raw["nat"] = {"pools": [f"{POOL}/32"], "blocks": {"size": 16384, "per_subscriber": 1}}
    flows = ("tcp_established", "tcp_transitory", "udp", "udp_dns", "icmp")
    raw["timers"] = {**dict.fromkeys(flows, SHORT), "port_rest": 1}
    path = folder / "blocks.config.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


class BlockLab(Lab):
    """The lab, and what its hosts do."""

    def __init__(self, config: Path) -> None:
        super().__init__()
        self.config = config

    def run(self, host: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a host to its end."""
        space = runner.current().hosts[host]
        return subprocess.run(
            plan.inside(space, *command), capture_output=True, text=True, check=False, timeout=30
        )

    def ping(self, source: str, count: int = 1) -> subprocess.CompletedProcess[str]:
        """Ping the outside from an address of inside1, each time by another query id."""
        return self.run(
            "inside1", "ping", "-c", str(count), "-i", "0.2", "-W", "2", "-I", source, OUTSIDE
        )

    def block(self, address: str) -> str:
        """The outside address and the block of a host; empty without one."""
        for row in self.show("subscribers"):
            if row["address"] == address and row["blocks"]:
                return f"{row['outside']} {row['blocks'][0]}"
        return ""

    def logged(self, text: str) -> list[str]:
        """The log lines that begin like this."""
        return [row["text"] for row in self.show("events") if row["text"].startswith(text)]

    def settle(self) -> None:
        """Wait until all blocks have come back, and have rested."""
        wait_until("blocks to come back", lambda: not any(map(self._has, self.show("subscribers"))))
        time.sleep(1.5)

    @staticmethod
    def _has(row: dict[str, object]) -> bool:
        return bool(row["blocks"])


def wait_until(what: str, happened: Callable[[], object], seconds: float = 6 * SHORT) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.1)


@pytest.fixture(scope="module", params=["embedded", BMV2, FEWER])
def whole_lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BlockLab]:
    patch = pytest.MonkeyPatch()
    patch.setenv("P4ALG_LAB_STATE", f"/run/p4alg/test-{os.getpid()}")
    patch.setenv("P4ALG_LAB_PREFIX", PREFIX)
    patch.delenv("P4ALG_SOCKET", raising=False)
    runner.sweep()
    try:
        config = configuration(tmp_path_factory.mktemp("blocks"))
        bring_up(topology.read(topology.find("nat")), request.param, config)
        lab = BlockLab(config)
        for last in range(20, 24):
            lab.run("inside1", "ip", "addr", "add", f"10.0.0.{last}/24", "dev", "eth0")
        yield lab
    finally:
        runner.sweep()
        patch.undo()


@pytest.fixture
def lab(whole_lab: BlockLab) -> BlockLab:
    """The lab, without any block."""
    whole_lab.settle()
    return whole_lab


def test_N6888_13_a_host_asks_once_and_its_plain_flows_are_the_switchs(lab: BlockLab) -> None:
    before = lab.show("counters")
    assert lab.ping("10.0.0.20").returncode == 0
    server = lab.background("outside1", "python3", "-m", "http.server", "8000")
    try:
        url = f"http://{OUTSIDE}:8000/"
        fetch = ("curl", "-sS", "-o", "/dev/null", "--interface", "10.0.0.20", "--max-time", "5")
        wait_until("the server", lambda: lab.run("inside1", *fetch, url).returncode == 0)
        for _ in range(20):
            assert lab.run("inside1", *fetch, url).returncode == 0
            assert lab.ping("10.0.0.20").returncode == 0
    finally:
        server.kill()
        server.wait()
    after = lab.show("counters")

    def more(name: str) -> int:
        return int(after.get(name, 0)) - int(before.get(name, 0))

    assert more("switch.punts.subscriber") == 1
    assert more("switch.punts.new-flow") == more("switch.punts.overflow") == 0
    (row,) = [row for row in lab.show("subscribers") if row["address"] == "10.0.0.20"]
    assert row["outside"] == POOL
    assert (row["sessions"], row["bindings"]) == (0, 0)
    assert row["packets_out"] > 100
    assert row["packets_in"] > 100


def test_N6888_12_a_line_tells_who_had_which_block_and_for_how_long(lab: BlockLab) -> None:
    assert lab.ping("10.0.0.21").returncode == 0
    block = lab.block("10.0.0.21").replace(" ", " ports ")
    assert lab.logged(f"block taken: 10.0.0.21 has {block}")
    lab.settle()
    text = f"block given back: 10.0.0.21 had {block} for "
    (line,) = lab.logged(text)
    found = re.fullmatch(r"(\d+) s", line.removeprefix(text))
    assert found is not None
    assert SHORT <= int(found[1]) <= 4 * SHORT


def test_a_host_that_goes_on_keeps_its_block(lab: BlockLab) -> None:
    assert lab.ping("10.0.0.21").returncode == 0
    block = lab.block("10.0.0.21")
    for _ in range(3 * SHORT):
        assert lab.ping("10.0.0.21").returncode == 0
        time.sleep(1.0)
    assert lab.block("10.0.0.21") == block != ""


def test_N6888_11_without_a_free_block_the_new_are_told_and_the_others_go_on(
    lab: BlockLab,
) -> None:
    assert all(lab.ping(f"10.0.0.{last}").returncode == 0 for last in (20, 21, 22))
    blocks = {lab.block(f"10.0.0.{last}") for last in (20, 21, 22)}
    assert len(blocks) == 3
    before = lab.counter("nat.refused.no-block")
    refused = lab.ping("10.0.0.23", 3)
    assert refused.returncode == 1
    assert "Destination Host Unreachable" in refused.stdout
    assert lab.counter("nat.refused.no-block") - before == 3
    assert len(lab.logged("no block of outside ports for 10.0.0.23: no-block")) == 1
    assert all(lab.ping(f"10.0.0.{last}").returncode == 0 for last in (20, 21, 22))
    # When the others are gone it has its turn.
    lab.settle()
    assert lab.ping("10.0.0.23").returncode == 0


def test_rule_8_plain_flows_go_on_and_begin_while_the_controller_is_away(lab: BlockLab) -> None:
    assert lab.ping("10.0.0.20").returncode == 0
    block = lab.block("10.0.0.20")
    going = lab.background("inside1", "ping", "-i", "0.2", "-I", "10.0.0.20", OUTSIDE)
    (controller,) = [p for p in runner.current().processes if p.name == runner.CONTROLLER]
    os.kill(controller.pid, signal.SIGKILL)
    for _ in range(10):
        assert lab.ping("10.0.0.20").returncode == 0
    runner.start_controller(lab.config)
    try:
        assert lab.logged("adopted 1 subscribers, ")
        assert lab.block("10.0.0.20") == block
        punts = lab.counter("switch.punts.subscriber")
        assert lab.ping("10.0.0.20", 5).returncode == 0
        assert lab.counter("switch.punts.subscriber") == punts
    finally:
        going.kill()
        going.wait()
    lab.settle()
    assert lab.logged("block given back: 10.0.0.20 had ")
