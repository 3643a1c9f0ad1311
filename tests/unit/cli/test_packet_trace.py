"""`p4alg packet-trace`: packets are made as they are described, and steps are told for people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from p4alg.cli import journey, main
from p4alg.engine import cells
from p4alg.p4constants import CPU_PORT, Class, Drop, Punt
from p4alg.packet import ipv4, tcp, udp
from p4alg.packet.ipv4 import parse_ipv4
from p4softswitch.io.pcap import PcapWriter
from p4softswitch.state.entry import Exact, Masked, Prefix, Range
from p4softswitch.tracing import Assigned, Branch, Cell, Field, Lookup, Parsed, Sent, Stage, Step

from .conftest import Command

PACKET = ("tcp", "10.0.0.11:40000", "198.51.100.11:80")
DROP, PUNT = "scalars.metadata_t._drop82", "scalars.metadata_t._punt81"


def frame(command: Command, socket: Path, *argv: str) -> bytes:
    text = command("packet-trace", "--json", "--socket", str(socket), "--in", "1", *argv)
    return bytes.fromhex(json.loads(text)["frame"])


def test_the_packet_is_as_it_is_described(command: Command, socket: Path) -> None:
    packet = parse_ipv4(frame(command, socket, *PACKET, "--flags", "fin,ack", "--ttl", "3"))
    assert (packet.ttl, tcp.parse_tcp(packet).flags) == (3, tcp.FIN | tcp.ACK)
    assert tcp.is_intact(packet)
    datagram = parse_ipv4(
        frame(command, socket, "udp", *PACKET[1:], "--payload", "616263", "--vlan", "7")
    )
    assert udp.parse_udp(datagram).payload == b"abc"
    assert udp.is_intact(datagram)
    assert datagram.eth.vlan_id == 7
    asked = parse_ipv4(frame(command, socket, "icmp", "10.0.0.11:9", "198.51.100.11"))
    told = parse_ipv4(frame(command, socket, "icmp", "198.51.100.11", "203.0.113.5:9"))
    assert (asked.payload[0], told.payload[0]) == (8, 0)


def test_a_switch_without_entries_drops_it_and_the_reason_is_told(
    command: Command, socket: Path
) -> None:
    shown = command("packet-trace", "--socket", str(socket), "--in", "1", *PACKET)
    lines = shown.splitlines()
    assert lines[0].startswith("packet: port 1: tcp 10.0.0.11:40000 -> 198.51.100.11:80, syn")
    assert lines[-1] == "result: dropped: no-zone"
    assert [line for line in lines if line.startswith("zone.port_zone") and " miss " in line]
    assert "drop" in [line.split()[0] for line in lines]
    whole = command("packet-trace", "--socket", str(socket), "--in", "1", *PACKET, "-v")
    assert len(whole.splitlines()) > len(lines)
    assert "hdr.vlan.isValid()" in whole


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--in", "1"], "give a packet as PROTO FROM TO, or --pcap FILE N"),
        (["--in", "1", "tcp", "10.0.0.1:1"], "give a packet as PROTO FROM TO"),
        (["--in", "1", "udp", "10.0.0.1", "10.0.0.2:9"], "udp has ports"),
        (["--in", "1", "icmp", "10.0.0.1", "10.0.0.2"], "give the id of an echo"),
        (["--in", "1", "spx", "10.0.0.1", "10.0.0.2"], "no protocol 'spx'"),
        (["--in", "512", *PACKET], "'512' is not a number from 0 to 511"),
        (["--in", "1", "tcp", "10.0.0.1:x", "10.0.0.2:9"], "'x' is not a number"),
        (["--in", "1", "tcp", "10.0.0:1", "10.0.0.2:9"], "'10.0.0:1' is not ADDR"),
        (["--in", "1", *PACKET, "--flags", "syn,foo"], "no flag 'foo'"),
        (["--in", "1", *PACKET, "--payload", "xy"], "'xy' is not hex digits"),
        (["--in", "1", "--pcap", "/nosuch.pcap", "1"], "cannot read /nosuch.pcap"),
        (PACKET, "--in"),
    ],
)
def test_what_is_no_packet_is_refused_in_one_line(
    argv: list[str], said: str, socket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["packet-trace", "--socket", str(socket), *argv]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert len(shown.err.splitlines()) == 1
    assert shown.out == ""


def test_a_file_has_frames_from_1_on(
    command: Command, socket: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "two.pcap")
    writer = PcapWriter(Path(file))
    writer.write(bytes(60), 0)
    writer.write(bytes(range(60)), 1)
    assert frame(command, socket, "--pcap", file, "2") == bytes(range(60))
    for number in ("0", "3", "x"):
        argv = ["packet-trace", "--socket", str(socket), "--in", "1", "--pcap", file, number]
        assert main(argv) == 2
        assert f"{file} has frames 1 to 2" in capsys.readouterr().err
    assert main([*argv[:-1], "1", *PACKET]) == 2


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([Assigned(DROP, Drop.FILTERED, "")], "dropped: filtered"),
        ([Assigned(PUNT, Punt.ALG, ""), Assigned(DROP, Drop.METER, "")], "dropped: meter"),
        (
            [Assigned(PUNT, Punt.ALG, ""), Sent(CPU_PORT, b"")],
            "to the controller, which decides: alg",
        ),
        ([Sent(3, b"")], "forwarded by port 3"),
        ([], "dropped: nothing sends it"),
    ],
)
def test_the_outcome_has_its_reason(steps: list[Step], said: str) -> None:
    assert str(journey.outcome(steps)) == said


def test_steps_are_told_in_80_columns() -> None:
    key = (
        Field("zone", 1, 8),
        Field("addr", 0x0A00000B, 32, "IPV4_ADDRESS"),
        Field("port", 80, 16),
        Field("other", 5, 16),
    )
    entry = (Exact(1), Prefix(0x0A000000, 24), Range(1, 99), Masked(0, 0))
    args = (Field("mac", 0x0200_0001_0001, 48, "MAC_ADDRESS"),)
    session = cells.Session(Class.UDP, 7, 40000, 0xC633640B, 53)
    steps: list[Step] = [
        Stage("ingress", 1),
        Parsed(("start", "parse_ipv4"), "PacketTooShort"),
        Branch("ingress.p4:1: a == b", True),
        Lookup("GatewayIngress.zone.zone", key, True, entry, "GatewayIngress.zone.set", args),
        Lookup("GatewayIngress.a.b", key, False, (), "refuse", (Field("reason", 8, 8),)),
        Cell("session_cell", 5, session.value, False, ""),
        Cell("session_cell", 6, 0, False, ""),
    ]
    shown = list(journey.lines(steps, ticks=10, columns=80, verbose=False))
    assert all(len(line) <= 80 for line in shown)
    text = " ".join(" ".join(shown).split())
    assert "parser ipv4: PacketTooShort" in text
    assert "zone hit zone=1 addr=10.0.0.0/24 port=1..99 : set mac=02:00:00:01:00:01" in text
    assert "a.b miss zone=1 addr=10.0.0.11 port=80 other=5 : refuse filtered" in text
    assert "udp, subscriber 7, inside port 40000, remote 198.51.100.11:53" in text
    assert "session_cell[6]" not in text
    assert "ingress.p4" not in text
    more = list(journey.lines(steps, ticks=10, columns=80, verbose=True))
    assert any(line.split()[:2] == ["if", "yes"] for line in more)
    assert any(line.startswith("session_cell[6]") for line in more)


def test_what_is_no_ip_packet_is_described_by_its_length() -> None:
    assert journey.described(b"abc") == "3 bytes"
    fragment = ipv4.build_ipv4((1, 2), 5, 1, 2, 47, bytes(4))
    assert journey.described(fragment) == "gre 0.0.0.1 -> 0.0.0.2, ttl 64, vlan 5, 42 bytes"
