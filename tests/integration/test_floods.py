"""One host floods, and another goes on: new flows, and control messages of an ALG.

The rates are what the targets forward with ease. What is tested is that the switch and the
controller share fairly, not how fast they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from peers import floods, flows, ftp
from tests.integration.conftest import BMV2, Lab, up
from tests.integration.marks import needs_lab

PORT = 7077
SERVER, GATEWAY = "198.51.100.11", "203.0.113.5"
RATE = 2000
FLOWS, TRANSFERS = 60, 10
STOPPED = (
    "switch.drops.source",
    "switch.drops.source-meter",
    "switch.drops.port-meter",
    "switch.drops.claim-meter",
    "switch.drops.meter",
    "switch.drops.no-mapping",
)
"""Where most of a flood has to end: in the switch."""
PROGRAMS = ("ip", "trafgen", "vsftpd", "curl")
INSIDE = (
    floods.FORGED_NEIGHBOURS,
    floods.FORGED_STRANGERS,
    floods.SYNS,
    floods.FTP_SYNS,
    floods.LATER_FRAGMENTS,
    floods.ARP_QUESTIONS,
)
OUTSIDE = (floods.RANDOM_ESP, floods.LATER_FRAGMENTS, floods.SYNS, floods.ARP_QUESTIONS)

pytestmark = needs_lab(*PROGRAMS)


ON_BMV2 = pytest.param("bmv2", marks=[*BMV2.marks, pytest.mark.slow])


@pytest.fixture(scope="module", params=["embedded", ON_BMV2])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with up(request.param) as found:
        flows.serve("outside1", PORT)
        yield found


@pytest.fixture(scope="module")
def server(lab: Lab) -> ftp.Server:
    return ftp.serve("outside1", 1000)


@contextmanager
def stopped_by_the_switch(lab: Lab) -> Iterator[None]:
    """Most of what comes in the context must end in the switch, or there was no flood."""
    before = sum(lab.counter(name) for name in STOPPED)
    yield
    assert sum(lab.counter(name) for name in STOPPED) - before > RATE / 4


def check(server: ftp.Server) -> None:
    """At least nine in ten of another host's new flows and control messages go through."""
    assert flows.answered("inside1", SERVER, PORT, FLOWS) >= 0.9 * FLOWS
    good = sum(
        ftp.fetch("curl", "inside1", server, f"ftp://{SERVER}", "PORT", 5.0).intact
        for _ in range(TRANSFERS)
    )
    assert good >= 0.9 * TRANSFERS


@pytest.mark.parametrize("kind", INSIDE)
def test_a_flood_of_an_inside_host_leaves_others_their_share(
    lab: Lab, server: ftp.Server, kind: str
) -> None:
    with stopped_by_the_switch(lab), floods.flood(kind, "inside2", SERVER, RATE):
        check(server)
        time.sleep(1.0)


@pytest.mark.parametrize("kind", OUTSIDE)
def test_a_flood_from_outside_leaves_inside_hosts_their_share(
    lab: Lab, server: ftp.Server, kind: str
) -> None:
    with stopped_by_the_switch(lab), floods.flood(kind, "outside2", GATEWAY, RATE):
        check(server)
        time.sleep(1.0)
