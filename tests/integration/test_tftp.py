"""TFTP through the gateway: real servers and clients, both ways round, on both targets."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from peers import tftp
from tests.integration.conftest import Lab

SIZE = 100_000
OUTSIDE, INSIDE = "198.51.100.11", "203.0.113.5"
OPTIONS: tuple[dict[str, int], ...] = (
    {},
    {"blksize": 1428},
    {"blksize": 1024, "tsize": 0, "windowsize": 4},
)

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(
        any(tftp.program(name) is None for name in (*tftp.SERVERS, *tftp.CLIENTS)),
        reason="needs tftpd-hpa, atftpd, tftp-hpa, atftp and curl (make setup)",
    ),
]


class Servers:
    """tftpd-hpa on either side, atftpd outside too."""

    def __init__(self) -> None:
        self.outside = tftp.serve("outside1", "tftpd-hpa", SIZE)
        self.inside = tftp.serve("inside1", "tftpd-hpa", SIZE)
        self.other = tftp.serve("outside2", "atftpd", SIZE)


@pytest.fixture(scope="module")
def servers(nat_lab: Lab) -> Servers:
    return Servers()


def transfer(
    client: str, host: str, server: tftp.Server, addr: str, options: dict[str, int]
) -> None:
    for move in (tftp.fetch, tftp.send):
        result = move(client, host, server, addr, 20.0, options)
        assert result.intact, f"{client} {move.__name__} {options}: {result.said}"


@pytest.mark.parametrize("client", tftp.CLIENTS)
def test_T1_an_inside_client_transfers_both_ways(
    nat_lab: Lab, servers: Servers, client: str
) -> None:
    transfer(client, "inside1", servers.outside, OUTSIDE, {})
    transfer(client, "inside2", servers.other, "198.51.100.12", {})


@pytest.mark.parametrize("client", tftp.CLIENTS)
def test_T1_an_inside_server_behind_a_static_mapping_transfers_both_ways(
    nat_lab: Lab, servers: Servers, client: str
) -> None:
    transfer(client, "outside2", servers.inside, INSIDE, {})


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: ",".join(o) or "none")
def test_T2_options_are_understood(nat_lab: Lab, servers: Servers, options: dict[str, int]) -> None:
    before = nat_lab.counter("alg.tftp.finished")
    transfer("atftp", "inside1", servers.other, "198.51.100.12", options)
    assert nat_lab.counter("alg.tftp.finished") == before + 2


def test_T2_a_file_that_is_not_there_closes_the_pinhole(nat_lab: Lab, servers: Servers) -> None:
    done = nat_lab.background("inside1", "curl", "-sS", f"tftp://{OUTSIDE}/nothing").wait(20)
    assert done != 0
    left = [row for row in nat_lab.show("sessions") if row["label"] == "tftp RRQ"]
    assert all(row["idle_timeout"] <= 60 for row in left)


def test_T2_most_of_a_transfer_never_visits_the_controller(nat_lab: Lab, servers: Servers) -> None:
    before = nat_lab.counter("switch.punts.alg") + nat_lab.counter("switch.punts.new-flow")
    result = tftp.fetch("curl", "inside1", servers.outside, OUTSIDE, 20.0, {})
    assert result.intact
    after = nat_lab.counter("switch.punts.alg") + nat_lab.counter("switch.punts.new-flow")
    # 196 blocks: the request, the first and the last of them are read.
    assert after - before <= 6


def test_T3_fifty_transfers_at_once(nat_lab: Lab, servers: Servers) -> None:
    def one(number: int) -> bool:
        host = f"inside{number % 2 + 1}"
        return tftp.fetch("atftp", host, servers.outside, OUTSIDE, 60.0, {}).intact

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(one, range(50)))


def test_G1_without_the_ALG_no_answer_comes_in(nat_lab: Lab, servers: Servers) -> None:
    nat_lab.client.call("disable", name="tftp")
    try:
        assert not tftp.fetch("curl", "inside1", servers.outside, OUTSIDE, 4.0, {}).intact
    finally:
        nat_lab.client.call("enable", name="tftp")
    assert tftp.fetch("curl", "inside1", servers.outside, OUTSIDE, 20.0, {}).intact
