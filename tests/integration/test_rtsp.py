"""RTSP through the gateway: a real server and real players, both ways round."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from p4alg.lab import plan, runner
from peers import rtsp
from peers.rtsp import Player
from tests.integration.conftest import BMV2, CONFIG, Lab, up

OUTSIDE, INSIDE = "198.51.100.11", "203.0.113.5"
SECONDS = 3.0
ENOUGH = 40
"""Frames that come in `SECONDS` at least: 25 a second, less what the players' start takes."""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(bool(rtsp.missing()), reason="needs GStreamer and ffmpeg (make setup)"),
]


class RtspLab(Lab):
    """The lab with a server on either side; port 554 of an outside address leads inside."""

    def __init__(self) -> None:
        super().__init__()
        self.outside = rtsp.serve("outside1")
        self.inside = rtsp.serve("inside1")

    def pinholes(self) -> list[str]:
        """Inside endpoints that a pinhole of this ALG leads to."""
        return [row["inside"] for row in self.show("pinholes") if row["alg"] == "rtsp"]

    def media(self) -> list[str]:
        """Inside endpoints of data that came through those."""
        return [
            r["inside"] for r in self.show("sessions") if r["label"] in ("rtsp rtp", "rtsp rtcp")
        ]

    def punts(self) -> int:
        """Packets that the controller has got, but for those about neighbours."""
        counters = self.show("counters")
        names = [name for name in counters if name.startswith("switch.punts.")]
        return sum(counters[name] for name in names if not name.endswith((".arp", ".neighbour")))

    def wait_until_nothing_is_open(self) -> None:
        """Sessions are over on both sides soon after the player is."""
        until = time.monotonic() + 10
        while self.pinholes() or self.media():
            assert time.monotonic() < until, (self.pinholes(), self.media())
            time.sleep(0.1)


@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("bmv2", marks=[*BMV2.marks, pytest.mark.slow])],
)
def lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RtspLab]:
    config = tmp_path_factory.mktemp("rtsp") / "config.yaml"
    text = CONFIG.read_text(encoding="utf-8")
    mapping = f'    - {{protocol: tcp, outside: "{INSIDE}:554", inside: "10.0.0.11:554"}}\n'
    assert "  static:\n" in text
    assert "\nalgs:\n" in text
    text = text.replace("  static:\n", "  static:\n" + mapping)
    text = text.replace("\nalgs:\n", "\nalgs:\n  rtsp: {enabled: true}\n")
    config.write_text(text, encoding="utf-8")
    with up(request.param):
        runner.stop(runner.CONTROLLER)
        runner.start_controller(config)
        yield RtspLab()


@pytest.fixture
def without_the_ALG(lab: RtspLab) -> Iterator[None]:
    lab.client.call("disable", name="rtsp")
    yield
    lab.client.call("enable", name="rtsp")


Way = tuple[str, str]
"""The host of the player, and the address it knows the server by."""
CLIENT_INSIDE, SERVER_INSIDE = ("inside2", OUTSIDE), ("outside2", INSIDE)
BOTH_WAYS = pytest.mark.parametrize(
    "way", [CLIENT_INSIDE, SERVER_INSIDE], ids=["client inside", "server inside"]
)
EACH_CLIENT = pytest.mark.parametrize("client", rtsp.CLIENTS)


def datagrams_of(host: str) -> int:
    """UDP datagrams that programs in a host have got so far."""
    space = runner.current().hosts[host]
    command = plan.inside(space, "cat", "/proc/net/snmp")
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names, numbers = (line.split() for line in shown.splitlines() if line.startswith("Udp:"))
    return int(numbers[names.index("InDatagrams")])


@BOTH_WAYS
@EACH_CLIENT
def test_R2_R3_media_over_UDP_arrives(lab: RtspLab, client: str, way: Way) -> None:
    opened = lab.counter("alg.rtsp.pinholes.opened")
    played = rtsp.play(client, *way, "udp", SECONDS)
    assert played.frames >= ENOUGH, played
    # RTP and RTCP, of video and audio.
    assert lab.counter("alg.rtsp.pinholes.opened") == opened + 4
    lab.wait_until_nothing_is_open()


@EACH_CLIENT
def test_R3_what_the_player_reports_reaches_a_server_inside(lab: RtspLab, client: str) -> None:
    before = datagrams_of("inside1")
    assert rtsp.play(client, *SERVER_INSIDE, "udp", SECONDS).frames >= ENOUGH
    assert datagrams_of("inside1") > before


@EACH_CLIENT
def test_G1_without_the_ALG_no_media_over_UDP_arrives(
    lab: RtspLab, without_the_ALG: None, client: str
) -> None:
    played = rtsp.play(client, *CLIENT_INSIDE, "udp", SECONDS)
    assert played.frames == 0, played
    # Nor does anything reach a server inside, though what that sends gets out.
    before = datagrams_of("inside1")
    rtsp.play(client, *SERVER_INSIDE, "udp", SECONDS)
    assert datagrams_of("inside1") == before


@BOTH_WAYS
@EACH_CLIENT
def test_R7_interleaved_media_arrives(lab: RtspLab, client: str, way: Way) -> None:
    opened = lab.counter("alg.rtsp.pinholes.opened")
    played = rtsp.play(client, *way, "tcp", SECONDS)
    assert played.frames >= ENOUGH, played
    assert lab.counter("alg.rtsp.pinholes.opened") == opened


@BOTH_WAYS
def test_R7_interleaved_media_arrives_without_the_ALG(
    lab: RtspLab, without_the_ALG: None, way: Way
) -> None:
    played = rtsp.play("ffmpeg", *way, "tcp", SECONDS)
    assert played.frames >= ENOUGH, played


@pytest.mark.parametrize("transport", rtsp.TRANSPORTS)
def test_R2_what_an_inside_client_records_arrives(lab: RtspLab, transport: str) -> None:
    said = rtsp.send("inside2", OUTSIDE, transport, SECONDS)
    assert said == ""
    until = time.monotonic() + 5
    while lab.outside.recorded() < ENOUGH:
        assert time.monotonic() < until, lab.outside.recorded()
        time.sleep(0.1)
    lab.wait_until_nothing_is_open()


def test_R5_G8_two_hosts_play_at_the_same_ports_at_once(lab: RtspLab) -> None:
    hosts = ("inside1", "inside2")
    players = [Player("ffmpeg", host, OUTSIDE, "udp", SECONDS, port=5000) for host in hosts]
    time.sleep(SECONDS / 2)
    wanted = {f"10.0.0.{n}:{port}" for n in (11, 12) for port in range(5000, 5004)}
    assert set(lab.pinholes()) == wanted
    for player in players:
        played = player.got()
        assert played.frames >= ENOUGH, played
    lab.wait_until_nothing_is_open()


def test_R4_media_ends_with_a_player_that_was_killed(lab: RtspLab) -> None:
    player = Player("gstreamer", *CLIENT_INSIDE, "udp", 30)
    until = time.monotonic() + 10
    while len(lab.pinholes()) < 4:
        assert time.monotonic() < until, lab.pinholes()
        time.sleep(0.1)
    player.kill()
    lab.wait_until_nothing_is_open()


def test_R2_media_never_visits_the_controller(lab: RtspLab) -> None:
    player = Player("ffmpeg", *CLIENT_INSIDE, "udp", 2 * SECONDS)
    time.sleep(SECONDS)
    before = lab.punts()
    time.sleep(SECONDS / 2)
    # Some 40 packets of video passed meanwhile, and half as many of audio.
    assert lab.punts() - before <= 4
    assert player.got().frames >= 2 * ENOUGH


def test_G7_HTTP_at_the_port_of_RTSP_is_left_alone(lab: RtspLab) -> None:
    before = lab.counter("alg.rtsp.protocol-errors.not-rtsp")
    answered = lab.background("inside2", "curl", "-sS", "-m", "3", f"http://{OUTSIDE}:554/")
    answered.wait(10)
    assert lab.counter("alg.rtsp.protocol-errors.not-rtsp") == before + 1
