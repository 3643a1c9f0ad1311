"""PPTP through the gateway: real servers and clients, scripted ones, on both targets.

One outside address serves all inside hosts, so that call ids have to tell them apart.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from p4alg.lab import runner
from peers import pptp, pptp_peer
from peers.pptp_peer import Call, Control, PeerError, Tunnel
from tests.integration.conftest import BMV2, CONFIG, MININET, Lab, up

FRAMES = 200
ADDRESSES = {
    "inside1": "10.0.0.11",
    "inside2": "10.0.0.12",
    "outside1": "198.51.100.11",
    "outside2": "198.51.100.12",
}
SHARED = "203.0.113.5"
"""The outside address of both inside hosts; its port 1723 leads to inside1."""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(bool(pptp.missing()), reason="needs pptpd and pptp-linux (make setup)"),
]


@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("bmv2", marks=[*BMV2.marks, pytest.mark.slow]), MININET],
)
def nat_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The lab; on BMv2 only if asked for, as the daemons take their time."""
    with up(request.param) as lab:
        yield lab


@pytest.fixture(scope="module")
def lab(nat_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The lab with one outside address."""
    config = tmp_path_factory.mktemp("pptp") / "config.yaml"
    text = CONFIG.read_text(encoding="utf-8")
    assert "pools: [203.0.113.0/28]" in text
    config.write_text(text.replace("203.0.113.0/28", f"{SHARED}/32"), encoding="utf-8")
    _run_with(config)
    return nat_lab


def _run_with(config: Path) -> None:
    runner.stop(runner.CONTROLLER)
    runner.start_controller(config)


@pytest.fixture(autouse=True)
def nothing_left(lab: Lab) -> Iterator[None]:
    """Each test ends its control connections, and with them all GRE (P4)."""
    yield
    wait_until_gre_is_over(lab)


@pytest.fixture
def outside_server(lab: Lab) -> Iterator[str]:
    """A real server in outside1: its address."""
    pptp.serve("outside1")
    yield ADDRESSES["outside1"]
    pptp.stop("outside1")


@pytest.fixture
def inside_server(lab: Lab) -> Iterator[str]:
    """A real server in inside1: its address for the outside."""
    pptp.serve("inside1")
    yield SHARED
    pptp.stop("inside1")


def wait_until_gre_is_over(lab: Lab) -> None:
    until = time.monotonic() + 5
    while rows := gre(lab):
        assert time.monotonic() < until, rows
        time.sleep(0.1)
    # The view is the controller's: the switch is being told to delete the entries.
    time.sleep(0.3)


def gre(lab: Lab) -> list[dict[str, object]]:
    """The sessions and pinholes there are for GRE."""
    rows = [*lab.show("sessions"), *lab.show("pinholes")]
    return [row for row in rows if row["proto"] == "gre"]


def punts(lab: Lab) -> int:
    """Packets sent to the controller, but for neighbours, who are asked at any time."""
    counters = lab.show("counters").items()
    other = ("switch.punts.arp", "switch.punts.neighbour")
    return sum(n for name, n in counters if name.startswith("switch.punts.") and name not in other)


def works(host: str, server: str) -> None:
    with pptp.Client(host, server, ADDRESSES[host]) as client:
        assert client.connect(8.0), client.log.read_text()
        assert client.exchange(FRAMES, 10.0).echoed == FRAMES


# Real programs


@pytest.mark.parametrize("host", ["inside1", "inside2"])
def test_P1_data_of_an_inside_client_crosses_both_ways(
    lab: Lab, outside_server: str, host: str
) -> None:
    used = lab.counter("alg.pptp.pinholes.used")
    works(host, outside_server)
    assert lab.counter("alg.pptp.pinholes.used") == used + 2


@pytest.mark.parametrize("host", ["outside1", "outside2"])
def test_P1_data_of_an_inside_server_behind_a_static_mapping_crosses_both_ways(
    lab: Lab, inside_server: str, host: str
) -> None:
    works(host, inside_server)


def test_P1_a_later_call_of_an_inside_server_crosses_both_ways(
    lab: Lab, inside_server: str
) -> None:
    # The first call of pptpd has the id 0, the others have not, and each client uses one up.
    with Tunnel("outside1") as tunnel:
        with pptp_peer.connect("outside1", inside_server, tunnel) as control:
            control.begin()
            control.begun()
        works("outside1", inside_server)


def test_P2_GRE_never_visits_the_controller(lab: Lab, outside_server: str) -> None:
    with pptp.Client("inside1", outside_server, ADDRESSES["inside1"]) as client:
        assert client.connect(8.0)
        before = punts(lab)
        assert client.exchange(FRAMES, 10.0).echoed == FRAMES
        assert punts(lab) == before


def test_P3_real_clients_of_two_hosts_share_an_address(lab: Lab, outside_server: str) -> None:
    with ExitStack() as stack:
        clients = [
            stack.enter_context(pptp.Client(host, outside_server, ADDRESSES[host]))
            for host in ("inside1", "inside2", "inside1")
        ]
        assert all(client.connect(8.0) for client in clients)
        for _ in range(2):
            for client in clients:
                assert client.exchange(50, 10.0).echoed == 50


def test_P4_a_client_that_dies_takes_its_GRE_along(lab: Lab, outside_server: str) -> None:
    with pptp.Client("inside1", outside_server, ADDRESSES["inside1"]) as client:
        assert client.connect(8.0)
        assert gre(lab)
        client.kill()
        wait_until_gre_is_over(lab)


# Scripted clients of a real server


def dial(stack: ExitStack, host: str, server: str, own: int, limit: float = 8.0) -> Call:
    """A call of a scripted client to a real server, which has its pppd running."""
    tunnel = stack.enter_context(Tunnel(host))
    control = stack.enter_context(pptp_peer.connect(host, server, tunnel))
    control.begin()
    control.begun()
    control.ask_outgoing(own)
    call = control.outgoing(own)
    assert call.connect(limit), f"no echo comes back to {host}"
    return call


@pytest.mark.parametrize("own", [0, 4711, 65535])
def test_P3_equal_call_ids_of_two_hosts_reach_a_real_server_at_once(
    lab: Lab, outside_server: str, own: int
) -> None:
    with ExitStack() as stack:
        calls = [dial(stack, host, outside_server, own) for host in ("inside1", "inside2")]
        for _ in range(2):
            for call in calls:
                assert call.exchange(FRAMES) == FRAMES
        # All that came to an end was its own: the other one's says so in each frame.
        for call in calls:
            assert call.tunnel.total() == len(call.received())


def test_P3_another_host_takes_the_call_id_of_a_real_client(lab: Lab, outside_server: str) -> None:
    with ExitStack() as stack:
        overheard = stack.enter_context(Tunnel("inside1"))
        address = ADDRESSES["inside1"]
        client = stack.enter_context(pptp.Client("inside1", outside_server, address))
        assert client.connect(8.0)
        (own,) = {own for _, own in overheard.calls()}
        call = dial(stack, "inside2", outside_server, own)
        assert call.exchange(FRAMES) == FRAMES
        assert client.exchange(FRAMES, 10.0).echoed == FRAMES
        assert call.exchange(FRAMES) == FRAMES


# Both ends scripted


@dataclass(frozen=True, slots=True)
class Way:
    """Who calls whom: hosts, and the address the client knows the server by."""

    client: str
    server: str
    address: str


WAYS = [
    pytest.param(Way("inside1", "outside2", ADDRESSES["outside2"]), id="server-outside"),
    pytest.param(Way("outside2", "inside1", SHARED), id="server-inside"),
]


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a control connection that has begun."""

    client: Control
    server: Control
    client_tunnel: Tunnel
    server_tunnel: Tunnel


def begin(stack: ExitStack, way: Way) -> Ends:
    tunnels = [stack.enter_context(Tunnel(host)) for host in (way.client, way.server)]
    listener = stack.enter_context(pptp_peer.Server(way.server, tunnels[1]))
    client = stack.enter_context(pptp_peer.connect(way.client, way.address, tunnels[0]))
    server = stack.enter_context(listener.connection())
    client.begin()
    server.accept()
    client.begun()
    return Ends(client, server, tunnels[0], tunnels[1])


def outgoing(pns: Control, pac: Control, ids: tuple[int, int]) -> tuple[Call, Call]:
    """Both ends of a call that the PNS asks the PAC for."""
    pns.ask_outgoing(ids[0])
    far = pac.answer_outgoing(ids[1])
    return pns.outgoing(ids[0]), far


def incoming(pac: Control, pns: Control, ids: tuple[int, int]) -> tuple[Call, Call]:
    """Both ends of a call that came in at the PAC."""
    pac.ask_incoming(ids[0])
    far = pns.answer_incoming(ids[1])
    call = pac.incoming(ids[0])
    pns.connected(far)
    return call, far


def crosses(call: Call, far: Call, count: int = 20) -> None:
    """Data crosses from either end, whoever speaks first."""
    far.echo()
    assert call.exchange(count) == count
    begun = len(call.received())
    for number in range(count):
        far.send(b"from the other end, %d" % number)
    assert call.tunnel.wait(call.far, call.own, begun + count, 5.0)


def stays_out(sender: Call, receiver: Tunnel) -> bool:
    """Whether nothing arrives of what `sender` sends."""
    before = receiver.total()
    for _ in range(3):
        sender.send(b"refused")
    time.sleep(0.5)
    return receiver.total() == before


@pytest.mark.parametrize("way", WAYS)
def test_P3_several_calls_on_one_control_connection(lab: Lab, way: Way) -> None:
    with ExitStack() as stack:
        ends = begin(stack, way)
        pairs = [outgoing(ends.client, ends.server, (n, 100 - n)) for n in (1, 2, 3, 4)]
        for call, far in pairs:
            crosses(call, far)
        # The end of one leaves the others alone.
        call, far = pairs.pop(1)
        ends.client.clear(call)
        ends.server.cleared(far)
        ends.client.disconnected(call)
        assert stays_out(call, ends.server_tunnel)
        assert stays_out(far, ends.client_tunnel)
        for call, far in pairs:
            crosses(call, far)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ids", [(0, 0), (0, 65535), (65535, 0), (65535, 65535)])
def test_P1_every_number_is_a_call_id(lab: Lab, way: Way, ids: tuple[int, int]) -> None:
    with ExitStack() as stack:
        ends = begin(stack, way)
        pairs = [
            outgoing(ends.client, ends.server, (9, 9)),
            outgoing(ends.client, ends.server, ids),
        ]
        for _ in range(2):
            for call, far in pairs:
                crosses(call, far)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("caller", ["client", "server"])
def test_P3_an_incoming_call_of_either_end(lab: Lab, way: Way, caller: str) -> None:
    with ExitStack() as stack:
        ends = begin(stack, way)
        pac, pns = ends.client, ends.server
        if caller == "server":
            pac, pns = pns, pac
        for ids in ((7, 7), (8, 30)):
            crosses(*incoming(pac, pns, ids))


def test_P3_a_server_calls_two_hosts_that_answer_with_equal_call_ids(lab: Lab) -> None:
    with ExitStack() as stack:
        tunnel = stack.enter_context(Tunnel("outside2"))
        listener = stack.enter_context(pptp_peer.Server("outside2", tunnel))
        pairs = []
        for number, host in enumerate(("inside1", "inside2"), 1):
            inside = stack.enter_context(Tunnel(host))
            connected = pptp_peer.connect(host, ADDRESSES["outside2"], inside)
            client = stack.enter_context(connected)
            server = stack.enter_context(listener.connection())
            client.begin()
            server.accept()
            client.begun()
            assert server.far == SHARED
            pairs.append(incoming(server, client, (number, 9)))
        (one, _), (other, _) = pairs
        assert one.peer != other.peer
        for _ in range(2):
            for call, far in pairs:
                crosses(call, far)


@pytest.mark.parametrize("way", WAYS)
def test_P1_each_message_names_the_call_as_its_receiver_knows_it(lab: Lab, way: Way) -> None:
    with ExitStack() as stack:
        # Another host has the id already, so that the inside one's has to change.
        other = Way("inside2", "outside2", ADDRESSES["outside2"])
        if way.server == "inside1":
            held = begin(stack, Way("inside2", "outside1", ADDRESSES["outside1"]))
        else:
            held = begin(stack, other)
            way = Way(way.client, "outside1", ADDRESSES["outside1"])
        outgoing(held.client, held.server, (77, 5))
        ends = begin(stack, way)
        call, far = outgoing(ends.client, ends.server, (77, 77))
        inside, outside = (call, far) if way.client == "inside1" else (far, call)
        assert outside.peer != inside.own
        assert inside.peer == outside.own
        ends.client.link_info(call)
        ends.server.linked(far)
        ends.client.clear(call)
        ends.server.cleared(far)
        ends.client.disconnected(call)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("end", ["clear", "disconnect", "stop", "close"])
def test_P4_GRE_is_refused_before_and_after_its_call(lab: Lab, way: Way, end: str) -> None:
    with ExitStack() as stack:
        ends = begin(stack, way)
        early = Call(ends.client_tunnel, ends.client.far, 50, 60)
        early_far = Call(ends.server_tunnel, ends.server.far, 60, 50)
        assert stays_out(early, ends.server_tunnel)
        assert stays_out(early_far, ends.client_tunnel)
        ends.client.ask_outgoing(50)
        # Asked for is not agreed on.
        assert stays_out(early_far, ends.client_tunnel)
        far = ends.server.answer_outgoing(60)
        call = ends.client.outgoing(50)
        crosses(call, far)
        if end == "clear":
            ends.client.clear(call)
            ends.server.cleared(far)
            ends.client.disconnected(call)
        elif end == "disconnect":
            ends.server.disconnect(far)
            ends.client.disconnected(call)
        elif end == "stop":
            ends.client.stop()
        else:
            ends.client.__exit__()
            ends.server.__exit__()
        wait_until_gre_is_over(lab)
        assert stays_out(call, ends.server_tunnel)
        assert stays_out(far, ends.client_tunnel)


def test_P4_a_call_is_for_the_two_ends_of_it_only(lab: Lab) -> None:
    with ExitStack() as stack:
        ends = begin(stack, Way("inside1", "outside2", ADDRESSES["outside2"]))
        call, far = outgoing(ends.client, ends.server, (50, 60))
        crosses(call, far)
        strangers = stack.enter_context(Tunnel("outside1"))
        assert stays_out(Call(strangers, SHARED, 1, far.peer), ends.client_tunnel)
        neighbours = stack.enter_context(Tunnel("inside2"))
        assert stays_out(Call(neighbours, call.far, 1, call.peer), ends.server_tunnel)
        crosses(call, far)


def test_P4_plain_GRE_is_not_mistaken_for_that_of_a_call(lab: Lab) -> None:
    with ExitStack() as stack:
        ends = begin(stack, Way("inside1", "outside2", ADDRESSES["outside2"]))
        call, far = outgoing(ends.client, ends.server, (50, 60))
        crosses(call, far)
        arrived = stack.enter_context(_Ears("outside2"))
        arrived_inside = stack.enter_context(_Ears("inside1"))
        for number, (here, ears) in {
            60: (call, arrived),
            far.peer: (far, arrived_inside),
        }.items():
            # Version 0 with a key: its first half is where version 1 has the length,
            # its second half where the call id is.
            key = (20).to_bytes(2, "big") + number.to_bytes(2, "big")
            here.tunnel.send_raw(here.far, b"\x20\x00\x08\x00" + key + bytes(20))
            here.tunnel.send_raw(here.far, b"\x30\x00\x88\x0b" + key + bytes(24))
            here.tunnel.send_raw(here.far, b"\x00\x00\x08\x00" + bytes(20))
            time.sleep(0.5)
            assert ears.heard() == []
        crosses(call, far)


class _Ears:
    """Hears every packet of IP protocol 47 that arrives in a host."""

    def __init__(self, host: str) -> None:
        self._socket = pptp_peer.raw_gre(host)

    def __enter__(self) -> _Ears:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def heard(self) -> list[bytes]:
        packets = []
        while True:
            try:
                packets.append(self._socket.recv(65535))
            except TimeoutError:
                return packets


def test_P4_a_call_that_is_never_used_is_over_after_its_time(
    lab: Lab, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    text = CONFIG.read_text(encoding="utf-8").replace("203.0.113.0/28", f"{SHARED}/32")
    usual, brief = tmp_path / "usual.yaml", tmp_path / "brief.yaml"
    usual.write_text(text, encoding="utf-8")
    brief.write_text(text + "limits: {pinhole_lifetime: 2}\n", encoding="utf-8")
    request.addfinalizer(lambda: _run_with(usual))
    _run_with(brief)
    with ExitStack() as stack:
        ends = begin(stack, Way("inside1", "outside2", ADDRESSES["outside2"]))
        call, far = outgoing(ends.client, ends.server, (50, 60))
        wait_until_gre_is_over(lab)
        assert stays_out(call, ends.server_tunnel)
        assert stays_out(far, ends.client_tunnel)


def test_G1_without_the_ALG_a_call_fails(lab: Lab, outside_server: str) -> None:
    lab.client.call("disable", name="pptp")
    before = lab.counter("switch.punts.alg")
    try:
        with pptp.Client("inside1", outside_server, ADDRESSES["inside1"]) as client:
            assert not client.connect(4.0)
        with pytest.raises(AssertionError, match="no echo"), ExitStack() as stack:
            dial(stack, "inside2", outside_server, 4711, limit=2.0)
        assert lab.counter("switch.punts.alg") == before
    finally:
        lab.client.call("enable", name="pptp")
    works("inside1", outside_server)


def test_G7_a_call_nobody_asked_for_opens_nothing(lab: Lab) -> None:
    with ExitStack() as stack:
        ends = begin(stack, Way("inside1", "outside2", ADDRESSES["outside2"]))
        before = lab.counter("alg.pptp.server.refused.no-request")
        ends.server.answer_unasked(60, 50)
        with pytest.raises(PeerError):
            ends.client.outgoing(50)
        assert lab.counter("alg.pptp.server.refused.no-request") == before + 1
        assert not gre(lab)
