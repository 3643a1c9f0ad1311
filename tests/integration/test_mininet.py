"""A scenario of each protocol in Mininet; all of them run there with ``-m slow``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from peers import ftp, ike, pptp, rtp, sip, tftp
from tests.integration.conftest import NEEDS_MININET, Lab, up

INSIDE, OUTSIDE = "10.0.0.11", "198.51.100.11"
SIZE = 200_000
LIMIT = 20.0

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to run Mininet"),
    NEEDS_MININET,
]


def needs(*packages: str) -> pytest.MarkDecorator:
    """The test needs these packages, as `peers` names what is missing."""
    return pytest.mark.skipif(bool(packages), reason=f"needs {', '.join(packages)} (make setup)")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with up("mininet") as made:
        yield made


@pytest.mark.skipif(shutil.which("vsftpd") is None, reason="needs vsftpd (make setup)")
def test_F1_a_file_crosses_both_ways(lab: Lab) -> None:
    server = ftp.serve("outside1", SIZE)
    for mode in ("PORT", "EPSV"):
        for move in (ftp.fetch, ftp.send):
            result = move("curl", "inside1", server, f"ftp://{OUTSIDE}", mode, LIMIT)
            assert result.intact, result.said
    assert lab.counter("alg.ftp.pinholes.used") == 2
    assert lab.counter("alg.ftp.expected.used") == 2


@pytest.mark.skipif(tftp.program("tftpd-hpa") is None, reason="needs tftpd-hpa (make setup)")
def test_T1_a_file_crosses(lab: Lab) -> None:
    server = tftp.serve("outside1", "tftpd-hpa", SIZE)
    result = tftp.fetch("curl", "inside1", server, OUTSIDE, LIMIT, {"blksize": 1428})
    assert result.intact, result.said


@needs(*sip.missing())
def test_S1_a_call_with_media_both_ways(lab: Lab) -> None:
    with (
        sip.phone("outside1", "callee") as callee,
        sip.phone("inside1", "caller", OUTSIDE, hold=2.0) as caller,
        rtp.Endpoint("inside1", INSIDE, sip.AUDIO) as inside,
        rtp.Endpoint("outside1", OUTSIDE, sip.AUDIO) as outside,
    ):
        (to_outside,) = caller.message(False, "SIP/2.0 200", "INVITE").targets()
        (to_inside,) = callee.message(False, "INVITE", "INVITE").targets()
        assert to_inside.address.startswith("203.0.113.")
        flows = (rtp.Flow(outside, to_inside, inside), rtp.Flow(inside, to_outside, outside))
        counts = rtp.exchange(flows, 40)
        assert all(count.complete for count in counts), counts
        ended = caller.wait(LIMIT)
    assert ended.good, ended.said


@needs(*pptp.missing())
def test_P1_a_call_carries_frames(lab: Lab) -> None:
    pptp.serve("outside1")
    with pptp.Client("inside1", OUTSIDE, INSIDE) as client:
        assert client.connect(10.0), client.log.read_text()
        assert client.exchange(50, LIMIT).echoed == 50


@pytest.mark.skipif(
    shutil.which(ike.DAEMON) is None or shutil.which("swanctl") is None,
    reason=f"needs {ike.DAEMON} and swanctl (make setup)",
)
def test_K4_a_tunnel_carries_a_file(lab: Lab) -> None:
    inside_net, outside_net = "172.16.1.1", "172.16.2.1"
    there = ike.Daemon("outside1", outside_net)
    there.load(ike.Connection("net", f"{outside_net}/32", f"{inside_net}/32"))
    here = ike.Daemon("inside1", inside_net)
    here.load(ike.Connection("net", f"{inside_net}/32", f"{outside_net}/32", OUTSIDE, 2))
    brought_up = here.initiate("net")
    assert brought_up.is_done, brought_up.text
    file = ike.serve("outside1", outside_net, SIZE)
    result = ike.fetch("inside1", outside_net, file, LIMIT)
    assert result.intact, result.said
