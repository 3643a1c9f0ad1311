"""IKE and ESP through the gateway: strongSwan on either side, and scripted plain ESP."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from p4alg.lab import runner
from peers import ike
from peers.esp_peer import (
    AH,
    CREATE_CHILD_SA,
    ESP,
    IKE_AUTH,
    IKE_SA_INIT,
    UDP,
    Packet,
    Peer,
    esp,
    negotiate,
)
from peers.esp_peer import ike as ike_header
from peers.ike import Association, Connection, Daemon
from tests.integration.conftest import BMV2, CONFIG, MININET, Lab, up

GATEWAY, OTHER_GATEWAY = "198.51.100.11", "198.51.100.12"
POOL = "203.0.113.5"
BEHIND = {"inside1": "172.16.1.1", "inside2": "172.16.2.1"}
BEHIND |= {"outside1": "172.16.3.1", "outside2": "172.16.4.1"}
SIZE = 1_000_000
SHORT = 3
"""Seconds that a silent session of UDP or ESP lives in the lab ``served``."""
PENDING = 10.0
"""Seconds that an exchange may take until another host has its turn (`EspLimits.pending`)."""
KEYING = 2.5
"""Seconds after which a host's IKE makes no unknown SPI possibly its own (`EspLimits.keying`)."""
PROGRAMS = (ike.DAEMON, "swanctl", "curl")

# Of one outside address, as hosts that share none need not be told apart.
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "esp": {},
    # A lab of its own for tests that need hosts to which no gateway owes an SPI from before.
    "alone": {},
    "served": {
        "static": [
            {"protocol": "udp", "outside": f"{POOL}:{port}", "inside": f"10.0.0.11:{port}"}
            for port in (ike.PORT, ike.NATT_PORT)
        ],
        "timers": {"udp": SHORT, "esp": SHORT},
    },
    "kept": {"keep_port": True},
}

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(
        any(shutil.which(program) is None for program in PROGRAMS)
        or not Path("/dev/net/tun").exists(),
        reason=f"needs {', '.join(PROGRAMS)} on PATH and /dev/net/tun",
    ),
]


def on(variant: str) -> pytest.MarkDecorator:
    """The test runs in the lab with a configuration of `VARIANTS`, on each target."""
    params = [
        pytest.param(("embedded", variant), id=f"embedded-{variant}"),
        pytest.param(
            ("bmv2", variant), id=f"bmv2-{variant}", marks=[*BMV2.marks, pytest.mark.slow]
        ),
        pytest.param(("mininet", variant), id=f"mininet-{variant}", marks=MININET.marks),
    ]
    return pytest.mark.parametrize("lab", params, indirect=True)


plain, plain_esp, alone, served, kept = map(on, VARIANTS)


def configuration(variant: str, folder: Path) -> Path:
    """The lab's own configuration with the changes of a variant, in a file."""
    changes = VARIANTS[variant]
    raw = yaml.safe_load(CONFIG.read_text())
    raw["nat"] = {**raw["nat"], "pools": [f"{POOL}/32"], "static": changes.get("static", [])}
    raw["timers"] = changes.get("timers", {})
    raw["algs"]["ike"] = {"keep_port": changes.get("keep_port", False)}
    path = folder / "ike.config.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


class IkeLab(Lab):
    """A lab that is up, with a file on an address behind each host."""

    def __init__(self, config: Path) -> None:
        super().__init__()
        self.config = config
        self._files: dict[str, Path] = {}

    def serve(self, host: str) -> None:
        """Serve a file on the address behind a host, unless that is done already."""
        if host not in self._files:
            self._files[host] = ike.serve(host, BEHIND[host], SIZE)

    def transfer(self, host: str, other: str, limit: float = 20.0, rate: int = 0) -> None:
        """Let `host` fetch the file that is behind `other`."""
        result = ike.fetch(host, BEHIND[other], self._files[other], limit, rate)
        assert result.intact, f"{host} from {other}: {result.said}"

    def punts(self) -> int:
        """Packets that the controller has got, but for those of ARP."""
        counters = self.show("counters")
        names = [name for name in counters if name.startswith("switch.punts.")]
        return sum(counters[name] for name in names if not name.endswith((".arp", ".neighbour")))

    def outside_of(self, inside: str, proto: str = "udp") -> list[str]:
        """Outside endpoints of the sessions of an inside one."""
        # What goes on at port 4500 is a plain flow, which the switch keeps.
        rows = self.client.call("show", what="sessions", plain=True)["rows"]
        return [r["outside"] for r in rows if (r["proto"], r["inside"]) == (proto, inside)]


# Module-wide, but not `nat_lab`: what is shown here needs other configurations.
@pytest.fixture(scope="module")
def lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IkeLab]:
    target, variant = request.param
    config = configuration(variant, tmp_path_factory.mktemp(variant))
    with up(target, config):
        yield IkeLab(config)


Start = Callable[..., Daemon]


@pytest.fixture
def start(lab: IkeLab) -> Iterator[Start]:
    """Start daemons that end with the test."""
    started: list[Daemon] = []

    def one(host: str, *connections: Connection, keepalive: int = 20) -> Daemon:
        daemon = Daemon(host, BEHIND[host], keepalive)
        started.append(daemon)
        daemon.load(*connections)
        lab.serve(host)
        return daemon

    yield one
    for daemon in reversed(started):
        daemon.stop()


def client(host: str, gateway: str = GATEWAY, version: int = 2, dpd: int = 0) -> Connection:
    network = f"{BEHIND['inside1' if gateway == POOL else 'outside1']}/32"
    return Connection("net", f"{BEHIND[host]}/32", network, gateway, version, dpd)


def responder(host: str) -> Connection:
    return Connection("net", f"{BEHIND[host]}/32", "172.16.0.0/16")


def wait_until(what: str, check: Callable[[], Any], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def connect(daemon: Daemon) -> Association:
    """Bring up the tunnel of a client; its end of the IKE SA."""
    said = daemon.initiate("net")
    assert said.is_done, said.text
    (found,) = [a for a in daemon.associations() if a.state == "ESTABLISHED"]
    assert found.installed() is not None
    return found


def established(daemon: Daemon) -> list[Association]:
    return [found for found in daemon.associations() if found.state == "ESTABLISHED"]


def comes_from_500(daemon: Daemon, port: int) -> int:
    """How many messages have come to port 500 of a daemon from that of the NAT."""
    return daemon.log().count(f"received packet: from {POOL}[{port}] to {GATEWAY}[500]")


@plain
@pytest.mark.parametrize("version", [2, 1])
def test_K4_IKE_floats_to_4500_and_data_goes_both_ways_without_the_controller(
    lab: IkeLab, start: Start, version: int
) -> None:
    gateway = start("outside1", responder("outside1"))
    found = connect(start("inside1", client("inside1", version=version)))
    assert (found.version, found.local_port, found.remote_port) == (version, 4500, 4500)
    child = found.installed()
    assert child is not None
    assert child.is_in_udp
    (seen,) = established(gateway)
    assert seen.remote_addr == POOL
    # The float stays with the address, and what began on 500 came through the NAT.
    assert f"{POOL}:{seen.remote_port}" in lab.outside_of("10.0.0.11:4500")
    (begun,) = lab.outside_of("10.0.0.11:500")
    assert comes_from_500(gateway, int(begun.partition(":")[2])) >= 1
    before = lab.punts()
    lab.transfer("inside1", "outside1")
    lab.transfer("outside1", "inside1")
    assert lab.punts() == before


@plain
def test_K1_two_inside_hosts_have_tunnels_to_one_gateway_at_once(lab: IkeLab, start: Start) -> None:
    gateway = start("outside1", responder("outside1"))
    hosts = ("inside1", "inside2")
    daemons = [start(host, client(host)) for host in hosts]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(connect, daemons))
        assert len({one.initiator_spi for one in found}) == 2
        seen = established(gateway)
        assert {one.initiator_spi for one in seen} == {one.initiator_spi for one in found}
        assert {one.remote_addr for one in seen} == {POOL}
        assert len({one.remote_port for one in seen}) == 2
        pairs = [pair for host in hosts for pair in ((host, "outside1"), ("outside1", host))]
        list(pool.map(lambda pair: lab.transfer(*pair), pairs))


@plain
@pytest.mark.parametrize("version", [2, 1])
def test_K3_ESP_and_IKE_are_rekeyed_from_both_ends_while_data_goes_on(
    lab: IkeLab, start: Start, version: int
) -> None:
    gateway = start("outside1", responder("outside1"))
    inside = start("inside1", client("inside1", version=version))
    connect(inside)

    def now() -> tuple[set[str], set[str]]:
        """SPIs of the IKE SAs and of the ESP SAs that are in use."""
        found = established(inside)
        children = {c.spi_in for a in found for c in a.children if c.state == "INSTALLED"}
        return {a.initiator_spi for a in found}, children

    def differs(which: int, old: set[str]) -> Callable[[], set[str]]:
        return lambda: now()[which] - old

    with ThreadPoolExecutor(2) as pool:
        down = pool.submit(lab.transfer, "inside1", "outside1", 30.0, 150_000)
        up = pool.submit(lab.transfer, "outside1", "inside1", 30.0, 150_000)
        time.sleep(0.5)
        for end in (inside, gateway):
            _, children = now()
            assert end.rekey_child("net").is_done
            wait_until("new ESP SAs", differs(1, children))
            spis, _ = now()
            assert end.rekey_ike("net").is_done
            wait_until("a new IKE SA", differs(0, spis))
            wait_until("the ESP SAs in the new IKE SA", lambda: now()[1])
        assert not down.done(), "the data ended before the rekeying"
        down.result()
        up.result()


@plain
def test_K3_a_dead_peer_is_noticed_and_a_new_tunnel_replaces_its_own(
    lab: IkeLab, start: Start
) -> None:
    gateway = start("outside1", responder("outside1"))
    inside = start("inside1", client("inside1", dpd=1))
    connect(inside)
    wait_until("a DPD request", lambda: "sending DPD request" in inside.log())
    time.sleep(2.5)
    assert established(inside)
    gateway.kill()
    wait_until("the end of the IKE SA", lambda: not inside.associations(), 20.0)
    start("outside1", responder("outside1"))
    connect(inside)
    lab.transfer("outside1", "inside1")


@plain
def test_K6_AH_is_dropped_and_counted_by_the_switch(lab: IkeLab) -> None:
    with Peer("inside1") as inside, Peer("outside1") as outside:
        drops, punts = lab.counter("switch.drops.protocol"), lab.punts()
        for number in range(5):
            inside.send(GATEWAY, AH, esp(0x1000, number))
            outside.send(POOL, AH, esp(0x1000, number))
        assert outside.receive(AH, 1.0) is None
        assert inside.receive(AH, 0.1) is None
        wait_until("the drops", lambda: lab.counter("switch.drops.protocol") == drops + 10)
        assert lab.punts() == punts


@served
@pytest.mark.parametrize("version", [2, 1])
def test_K5_a_gateway_inside_is_reached_through_a_static_mapping(
    lab: IkeLab, start: Start, version: int
) -> None:
    gateway = start("inside1", responder("inside1"))
    clients = [start(host, client(host, POOL, version)) for host in ("outside1", "outside2")]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(connect, clients))
        assert {one.remote_addr for one in established(gateway)} == {GATEWAY, OTHER_GATEWAY}
        before = lab.punts()
        pairs = [(d.host, "inside1") for d in clients] + [("inside1", d.host) for d in clients]
        list(pool.map(lambda pair: lab.transfer(*pair), pairs))
    assert lab.punts() == before
    # With two peers, "net" is the connection of either.
    assert clients[0].rekey_ike("net").is_done
    assert clients[1].rekey_child("net").is_done
    for host in ("outside1", "outside2"):
        lab.transfer("inside1", host)
        lab.transfer(host, "inside1")


@served
def test_K4_keepalives_alone_keep_the_way_in_open(lab: IkeLab, start: Start) -> None:
    start("outside1", responder("outside1"))
    inside = start("inside2", client("inside2"), keepalive=1)
    connect(inside)
    before = lab.outside_of("10.0.0.12:4500")
    time.sleep(2.5 * SHORT)
    assert lab.outside_of("10.0.0.12:4500") == before
    lab.transfer("outside1", "inside2")
    inside.stop()
    # The same without them, or the above would show nothing.
    silent = start("inside2", client("inside2"), keepalive=0)
    connect(silent)
    wait_until("the end of the session", lambda: not lab.outside_of("10.0.0.12:4500"), 4 * SHORT)
    with pytest.raises(AssertionError, match="outside1 from inside2"):
        lab.transfer("outside1", "inside2", 3.0)


@kept
@pytest.mark.parametrize("version", [2, 1])
def test_K1_both_hosts_keep_port_500_and_each_has_its_tunnel(
    lab: IkeLab, start: Start, version: int
) -> None:
    gateway = start("outside1", responder("outside1"))
    daemons = [start(host, client(host, version=version)) for host in ("inside1", "inside2")]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(connect, daemons))
    for inside in ("10.0.0.11:500", "10.0.0.12:500"):
        assert lab.outside_of(inside) == [f"{POOL}:500"]
    assert comes_from_500(gateway, 500) >= 2
    assert len(established(gateway)) == 2
    for host in ("inside1", "inside2"):
        lab.transfer(host, "outside1")
        lab.transfer("outside1", host)


@kept
def test_K1_hosts_that_stay_on_port_500_are_told_apart_by_their_SPIs(lab: IkeLab) -> None:
    with Peer("inside1") as one, Peer("inside2") as two, Peer("outside2") as gateway:
        spis = {one: 0xA1A1A1A1A1A1A1A1, two: 0xB2B2B2B2B2B2B2B2}
        for exchange in (IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA):
            for peer, spi in spis.items():
                asked = negotiate(peer, gateway, OTHER_GATEWAY, spi, exchange)
                assert (asked.source, asked.port) == (POOL, 500)
        # From the gateway's side too, in the order that the hosts did not have.
        for peer, spi in reversed(spis.items()):
            data = ike_header(spi, spi ^ 0xFFFF, CREATE_CHILD_SA, is_response=False)
            gateway.send(POOL, UDP, data)
            came = peer.receive(UDP, 5.0)
            assert came is not None
            assert came.data == data
        nobody = ike_header(0xC3C3C3C3C3C3C3C3, 1, IKE_SA_INIT, is_response=True)
        gateway.send(POOL, UDP, nobody)
        assert one.receive(UDP, 0.5) is None
        assert two.receive(UDP, 0.1) is None


@kept
def test_K1_an_initiator_SPI_that_another_host_has_is_refused(lab: IkeLab) -> None:
    with Peer("inside1") as one, Peer("inside2") as two, Peer("outside2") as gateway:
        spi = 0xD4D4D4D4D4D4D4D4
        negotiate(one, gateway, OTHER_GATEWAY, spi, IKE_SA_INIT)
        before = lab.counter("alg.ike.client.refused.spi-in-use")
        two.send(OTHER_GATEWAY, UDP, ike_header(spi, 0, IKE_SA_INIT, is_response=False))
        assert gateway.receive(UDP, 1.0) is None
        assert lab.counter("alg.ike.client.refused.spi-in-use") == before + 1
        negotiate(one, gateway, OTHER_GATEWAY, spi, IKE_AUTH)


class Ends:
    """Scripted peers: two inside hosts and two gateways outside, that speak ESP."""

    def __init__(self) -> None:
        self.one, self.two = Peer("inside1"), Peer("inside2")
        self.gateway, self.other = Peer("outside1"), Peer("outside2")
        self._address = {self.gateway: GATEWAY, self.other: OTHER_GATEWAY}
        self.all = (self.one, self.two, self.gateway, self.other)
        self._spi = time.monotonic_ns()

    def speak_ike(self, inside: Peer, gateway: Peer) -> None:
        """Let a host and a gateway agree on SAs, as far as anybody between them sees."""
        self._spi += 1
        for exchange in (IKE_SA_INIT, IKE_AUTH):
            negotiate(inside, gateway, self._address[gateway], self._spi, exchange)

    def crosses(self, sender: Peer, receiver: Peer, spi: int, sequence: int = 1) -> None:
        """One ESP packet arrives at `receiver` as it was sent, and nowhere else."""
        came = self._sent(sender, receiver, spi, sequence, 5.0)
        assert came is not None, f"{spi:x} of {sender.host} does not come to {receiver.host}"
        assert came.data == esp(spi, sequence)
        if receiver in self._address:
            assert came.source == POOL
        else:
            assert came.source == self._address[sender]
        others = [peer for peer in self.all if peer not in (sender, receiver)]
        assert [peer.host for peer in others if peer.receive(ESP, 0.02) is not None] == []

    def is_lost(self, sender: Peer, receiver: Peer, spi: int, sequence: int = 1) -> None:
        """One ESP packet, meant for `receiver`, arrives nowhere."""
        came = self._sent(sender, receiver, spi, sequence, 0.7)
        assert came is None, f"{spi:x} of {sender.host} comes to {receiver.host}"
        assert [peer.host for peer in self.all if peer.receive(ESP, 0.02) is not None] == []

    def _sent(
        self, sender: Peer, receiver: Peer, spi: int, sequence: int, seconds: float
    ) -> Packet | None:
        to = self._address.get(receiver, POOL)
        sender.send(to, ESP, esp(spi, sequence))
        return receiver.receive(ESP, seconds)


@pytest.fixture
def ends(lab: IkeLab) -> Iterator[Ends]:
    found = Ends()
    yield found
    for peer in found.all:
        peer.close()


def count(lab: IkeLab, name: str) -> int:
    return lab.counter(f"alg.ike.esp.{name}")


@plain_esp
def test_K2_ESP_passes_neither_way_before_IKE(lab: IkeLab, ends: Ends) -> None:
    unrelated, unknown = count(lab, "dropped.no-ike"), count(lab, "dropped.unknown-spi")
    ends.is_lost(ends.one, ends.other, 0x101010)
    assert count(lab, "dropped.no-ike") == unrelated + 1
    ends.is_lost(ends.other, ends.one, 0x202020)
    assert count(lab, "dropped.unknown-spi") == unknown + 1


@plain_esp
def test_K2_two_hosts_have_ESP_with_one_gateway_resolved_in_order(lab: IkeLab, ends: Ends) -> None:
    ends.speak_ike(ends.one, ends.gateway)
    ends.speak_ike(ends.two, ends.gateway)
    time.sleep(KEYING)
    held = count(lab, "held")
    ends.crosses(ends.one, ends.gateway, 0xA0000001)
    # While the first has no answer yet, the second has to wait, and is counted.
    ends.is_lost(ends.two, ends.gateway, 0xB0000001)
    assert count(lab, "held") == held + 1
    ends.crosses(ends.gateway, ends.one, 0xA1000001)
    ends.crosses(ends.two, ends.gateway, 0xB0000001, 2)
    ends.crosses(ends.gateway, ends.two, 0xB1000001)
    # From now on the switch forwards by SPI alone.
    punts = lab.punts()
    for sequence in range(3, 50):
        ends.gateway.send(POOL, ESP, esp(0xA1000001, sequence))
        ends.gateway.send(POOL, ESP, esp(0xB1000001, sequence))
        ends.one.send(GATEWAY, ESP, esp(0xA0000001, sequence))
        ends.two.send(GATEWAY, ESP, esp(0xB0000001, sequence))
    for inside, spi in ((ends.one, 0xA1000001), (ends.two, 0xB1000001)):
        came = [inside.receive(ESP, 5.0) for _ in range(3, 50)]
        assert [p and p.data for p in came] == [esp(spi, n) for n in range(3, 50)]
        assert inside.receive(ESP, 0.1) is None
    sent = {esp(spi, n) for spi in (0xA0000001, 0xB0000001) for n in range(3, 50)}
    came = [ends.gateway.receive(ESP, 5.0) for _ in sent]
    assert {p.data for p in came if p is not None} == sent
    assert lab.punts() == punts


@plain_esp
def test_K2_who_has_had_its_turn_waits_behind_the_others(lab: IkeLab, ends: Ends) -> None:
    for peer in (ends.one, ends.two):
        ends.speak_ike(peer, ends.gateway)
    time.sleep(KEYING)
    ends.crosses(ends.one, ends.gateway, 0xA0000021)
    ends.is_lost(ends.two, ends.gateway, 0xB0000021)
    ends.is_lost(ends.one, ends.gateway, 0xA0000022)
    ends.crosses(ends.gateway, ends.one, 0xA1000021)
    # Though nothing is pending now.
    ends.is_lost(ends.one, ends.gateway, 0xA0000022, 2)
    ends.crosses(ends.two, ends.gateway, 0xB0000021, 2)
    ends.crosses(ends.gateway, ends.two, 0xB1000021)
    ends.crosses(ends.one, ends.gateway, 0xA0000022, 3)
    ends.crosses(ends.gateway, ends.one, 0xA1000022)


@plain_esp
def test_K3_an_exchange_without_answer_gives_its_turn_away(lab: IkeLab, ends: Ends) -> None:
    for peer in (ends.one, ends.two):
        ends.speak_ike(peer, ends.other)
    begun = time.monotonic()
    ends.crosses(ends.one, ends.other, 0xA0000031)
    ends.is_lost(ends.two, ends.other, 0xB0000031)
    time.sleep(begun + PENDING - 1.5 - time.monotonic())
    ends.is_lost(ends.two, ends.other, 0xB0000031, 2)
    time.sleep(begun + PENDING + 0.5 - time.monotonic())
    ends.crosses(ends.two, ends.other, 0xB0000031, 3)
    ends.crosses(ends.other, ends.two, 0xB1000031)
    # What is known of the first goes on, and its next exchange is like any.
    ends.crosses(ends.one, ends.other, 0xA0000031, 2)
    ends.crosses(ends.one, ends.other, 0xA0000032)
    ends.crosses(ends.other, ends.one, 0xA1000032)


@plain_esp
def test_K2_a_host_has_ESP_with_two_gateways_independently(lab: IkeLab, ends: Ends) -> None:
    ends.speak_ike(ends.one, ends.gateway)
    ends.speak_ike(ends.one, ends.other)
    time.sleep(KEYING)
    ends.crosses(ends.one, ends.gateway, 0xA0000011)
    ends.crosses(ends.one, ends.other, 0xA0000012)
    ends.crosses(ends.other, ends.one, 0xA1000012)
    ends.crosses(ends.gateway, ends.one, 0xA1000011)


@plain_esp
def test_K3_a_rekey_of_ESP_changes_the_SPIs_and_the_old_ones_still_pass(
    lab: IkeLab, ends: Ends
) -> None:
    for peer in (ends.one, ends.two):
        ends.speak_ike(peer, ends.gateway)
    time.sleep(KEYING)
    for step in range(3):
        for peer, mine, theirs in ((ends.one, 0xA2, 0xA3), (ends.two, 0xB2, 0xB3)):
            ends.crosses(peer, ends.gateway, (mine << 24) + step)
            ends.crosses(ends.gateway, peer, (theirs << 24) + step)
    punts = lab.punts()
    for step in range(3):
        for peer, mine, theirs in ((ends.one, 0xA2, 0xA3), (ends.two, 0xB2, 0xB3)):
            ends.crosses(peer, ends.gateway, (mine << 24) + step, 2)
            ends.crosses(ends.gateway, peer, (theirs << 24) + step, 2)
    assert lab.punts() == punts


@plain_esp
def test_K2_an_SPI_that_nobody_waits_for_is_dropped_and_counted(lab: IkeLab, ends: Ends) -> None:
    for peer in (ends.one, ends.two):
        ends.speak_ike(peer, ends.gateway)
    time.sleep(KEYING)
    unknown = count(lab, "dropped.unknown-spi")
    ends.is_lost(ends.gateway, ends.two, 0xB5000001)
    assert count(lab, "dropped.unknown-spi") == unknown + 1
    # Two hosts speak IKE with this gateway: whose it is shows when its pair is used.
    ends.crosses(ends.two, ends.gateway, 0xB4000001)
    ends.crosses(ends.gateway, ends.two, 0xB5000001, 2)


@plain_esp
def test_K2_what_may_be_another_hosts_answer_is_dropped_and_not_crossed(
    lab: IkeLab, ends: Ends
) -> None:
    ends.speak_ike(ends.one, ends.gateway)
    time.sleep(KEYING)
    ends.crosses(ends.one, ends.gateway, 0xA6000001)
    ambiguous = count(lab, "dropped.ambiguous")
    # The other host's new SAs may be used at once, and by the gateway first.
    ends.speak_ike(ends.two, ends.gateway)
    ends.is_lost(ends.gateway, ends.two, 0xB7000001)
    assert count(lab, "dropped.ambiguous") == ambiguous + 1
    said = [row["text"] for row in lab.show("events")]
    assert any("could be for 10.0.0.11 or 10.0.0.12" in text for text in said)
    # Nor does the older exchange win later, as nobody has answered it.
    time.sleep(KEYING)
    ends.is_lost(ends.gateway, ends.one, 0xA7000001)
    time.sleep(10.0)
    ends.crosses(ends.two, ends.gateway, 0xB6000001)
    ends.crosses(ends.gateway, ends.two, 0xB7000001, 2)


@alone
def test_K2_one_packet_of_a_host_does_not_get_the_next_SPI_of_another(
    lab: IkeLab, ends: Ends
) -> None:
    for peer in (ends.two, ends.one):
        ends.speak_ike(peer, ends.other)
    time.sleep(KEYING)
    ends.crosses(ends.one, ends.other, 0xAC000001)
    ends.crosses(ends.other, ends.one, 0xAD000001)
    ends.crosses(ends.two, ends.other, 0xBC000001)
    ends.crosses(ends.other, ends.two, 0xBD000001)
    # The second host makes an SPI up; then the gateway agrees on a new one with the first.
    ends.crosses(ends.two, ends.other, 0xBC000666)
    ends.speak_ike(ends.one, ends.other)
    ends.crosses(ends.other, ends.one, 0xAD000002)
    ends.crosses(ends.one, ends.other, 0xAC000002)


@plain_esp
@pytest.mark.parametrize("spi", [0, 255])
def test_K2_reserved_SPIs_are_dropped(lab: IkeLab, ends: Ends, spi: int) -> None:
    ends.speak_ike(ends.one, ends.gateway)
    ends.is_lost(ends.one, ends.gateway, spi)
    ends.is_lost(ends.gateway, ends.one, spi)


@plain_esp
def test_G1_without_the_ALG_no_new_SPI_passes_but_known_ones_do(lab: IkeLab, ends: Ends) -> None:
    ends.speak_ike(ends.one, ends.other)
    time.sleep(KEYING)
    ends.crosses(ends.one, ends.other, 0xA8000001)
    ends.crosses(ends.other, ends.one, 0xA9000001)
    lab.client.call("disable", name="ike")
    try:
        punts, drops = lab.punts(), lab.counter("switch.drops.protocol")
        ends.is_lost(ends.one, ends.other, 0xA8000002)
        assert lab.counter("switch.drops.protocol") == drops + 1
        ends.is_lost(ends.other, ends.one, 0xA9000002)
        ends.crosses(ends.one, ends.other, 0xA8000001, 2)
        ends.crosses(ends.other, ends.one, 0xA9000001, 2)
        assert lab.punts() == punts
    finally:
        lab.client.call("enable", name="ike")


@alone
def test_rule_8_ESP_goes_on_without_the_controller_and_the_next_one_knows_it(
    lab: IkeLab, ends: Ends
) -> None:
    pairs = ((ends.one, 0xAA000001, 0xAB000001), (ends.two, 0xBA000001, 0xBB000001))
    for peer, _, _ in pairs:
        ends.speak_ike(peer, ends.gateway)
    time.sleep(KEYING)
    for peer, mine, theirs in pairs:
        ends.crosses(peer, ends.gateway, mine)
        ends.crosses(ends.gateway, peer, theirs)
    runner.stop(runner.CONTROLLER)
    for peer, mine, theirs in pairs:
        ends.crosses(peer, ends.gateway, mine, 2)
        ends.crosses(ends.gateway, peer, theirs, 2)
    runner.start_controller(lab.config)
    punts = lab.punts()
    for peer, mine, theirs in pairs:
        ends.crosses(peer, ends.gateway, mine, 3)
        ends.crosses(ends.gateway, peer, theirs, 3)
    assert lab.punts() == punts
    # It goes on with the exchanges of hosts that have such pairs.
    for peer, mine, theirs in pairs:
        ends.crosses(peer, ends.gateway, mine + 1)
        ends.crosses(ends.gateway, peer, theirs + 1)


@served
def test_K5_ESP_of_a_gateway_inside_may_begin_outside(lab: IkeLab, ends: Ends) -> None:
    spi = 0xE5E5E5E5E5E5E5E5
    for exchange in (IKE_SA_INIT, IKE_AUTH):
        asked = negotiate(ends.other, ends.one, POOL, spi, exchange)
        assert (asked.source, asked.port) == (OTHER_GATEWAY, 500)
    ends.crosses(ends.other, ends.one, 0xAC000001)
    ends.crosses(ends.one, ends.other, 0xAD000001)
    punts = lab.punts()
    ends.crosses(ends.other, ends.one, 0xAC000001, 2)
    ends.crosses(ends.one, ends.other, 0xAD000001, 2)
    assert lab.punts() == punts


@served
def test_K3_silent_ESP_is_forgotten_and_may_begin_again(lab: IkeLab, ends: Ends) -> None:
    ends.speak_ike(ends.two, ends.other)
    time.sleep(KEYING)

    def sessions() -> int:
        return sum(1 for row in lab.show("sessions") if row["proto"] == "esp")

    wait_until("the end of other tests' sessions", lambda: sessions() == 0, 4 * SHORT)
    ends.crosses(ends.two, ends.other, 0xAE000001)
    ends.crosses(ends.other, ends.two, 0xAF000001)
    assert sessions() == 2
    wait_until("the end of both sessions", lambda: sessions() == 0, 4 * SHORT)
    ends.crosses(ends.two, ends.other, 0xAE000001, 2)
    ends.crosses(ends.other, ends.two, 0xAF000001, 2)
