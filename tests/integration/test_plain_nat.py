"""Plain NAT by the switch: as an independent program sees it, and without a controller."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4alg.lab import runner, state
from peers import flows, stun
from tests.integration.conftest import BMV2, CONFIG, Lab, up
from tests.integration.marks import needs_lab

PROGRAMS = ("ip", *stun.PROGRAMS)
PORT, FLOWS = 7078, 50
SERVER = "198.51.100.11"
FILTERS = {
    "endpoint-independent": "Endpoint Independent Filtering",
    "address": "Address Dependent Filtering",
    "address-and-port": "Address and Port Dependent Filtering",
}
HANDED_OVER = ("switch.punts.new-flow", "switch.punts.overflow")

pytestmark = needs_lab(*PROGRAMS)


@pytest.mark.parametrize("target", ["embedded", BMV2])
@pytest.mark.parametrize("chosen", FILTERS)
def test_N4787_1_N4787_8_coturn_finds_the_mapping_and_the_filter_that_are_configured(
    target: str, chosen: str, tmp_path: Path
) -> None:
    config = tmp_path / "gateway.yaml"
    text = CONFIG.read_text()
    assert "filter: address-and-port" in text
    config.write_text(text.replace("filter: address-and-port", f"filter: {chosen}"))
    with up(target, config) as lab:
        stun.serve("outside1")
        mapping = stun.discover("inside1", "mapping")
        assert mapping.verdict == "Endpoint Independent Mapping", mapping.said
        assert len(mapping.mapped) == 1
        filtering = stun.discover("inside1", "filtering")
        assert filtering.verdict == FILTERS[chosen], filtering.said
        assert [lab.counter(name) for name in HANDED_OVER] == [0, 0]


@pytest.fixture(scope="module", params=["embedded", BMV2])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with up(request.param) as found:
        flows.serve("outside1", PORT)
        yield found


def test_no_packet_of_a_plain_flow_comes_to_the_controller(lab: Lab) -> None:
    assert flows.answered("inside1", SERVER, PORT, 1) == 1
    before = {name: n for name, n in lab.show("counters").items() if ".punts." in name}
    assert flows.answered("inside1", SERVER, PORT, FLOWS) == FLOWS
    after = {name: n for name, n in lab.show("counters").items() if ".punts." in name}
    assert {n: v for n, v in after.items() if v != before.get(n, 0) and "arp" not in n} == {}
    assert {row["kind"] for row in lab.show("bindings") if "switch" not in row["kind"]} == {
        "static"
    }


def test_N6888_13_a_subscriber_is_one_block_and_one_line_of_the_log(lab: Lab) -> None:
    flows.answered("inside2", SERVER, PORT, FLOWS)
    (row,) = [row for row in lab.show("subscribers") if row["address"] == "10.0.0.12"]
    assert len(row["blocks"]) == 1
    log = (state.directory() / f"{runner.CONTROLLER}.log").read_text()
    assert log.count("block taken: 10.0.0.12 ") == 1


def test_rule_8_plain_flows_begin_without_a_controller_and_the_next_one_takes_over(
    lab: Lab,
) -> None:
    assert flows.answered("inside1", SERVER, PORT, 1) == 1
    before = lab.show("subscribers")
    (controller,) = [p for p in runner.current().processes if p.name == runner.CONTROLLER]
    os.kill(controller.pid, 9)
    assert flows.answered("inside1", SERVER, PORT, FLOWS) == FLOWS
    runner.start_controller(CONFIG)
    places = {(row["address"], row["outside"], *row["blocks"]) for row in before}
    after = {(r["address"], r["outside"], *r["blocks"]) for r in lab.show("subscribers")}
    assert places <= after
    assert flows.answered("inside1", SERVER, PORT, FLOWS) == FLOWS
