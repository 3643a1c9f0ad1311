"""Forged packets against control sessions, through the whole engine (RFC 5961, G4)."""

import pytest

from p4alg.alg.contract import Peer
from p4alg.engine import events as ev
from p4alg.engine.settings import Limits
from tests.unit.engine.dialogue import PORT, greeted
from tests.unit.engine.harness import (
    IN_PORT,
    OUT_PORT,
    REMOTE,
    RST,
    SERVER,
    Bench,
    segment,
)
from tests.unit.stream.network import PORTS

FTP = 1


def controls(bench: Bench) -> int:
    return int(next(row["sessions"] for row in bench.show("algs") if row["name"] == "ftp"))


def test_G4_forged_SYNs_do_not_turn_the_ALG_off_for_a_server_inside() -> None:
    bench = Bench(limits=Limits(controls_per_subscriber=8))
    honest = greeted(bench, Peer.SERVER)
    honest.client(b"USER a\r\n")
    for n in range(100):
        syn = segment(REMOTE + 1 + n % 50, 2000 + n, SERVER, 21)
        bench.new(syn, OUT_PORT, FTP)
    assert controls(bench) == 8
    assert bench.counter("alg.ftp.controls.refused") == 0
    assert bench.counter("alg.ftp.controls.given-up") == 93
    # Who has proved its address is still served, and who comes now too.
    honest.server(b"331 pw\r\n")
    assert honest.client(b"PASV\r\n") == b"PASV\r\n"
    told = honest.server(b"227 x (10,0,0,11,200,10)\r\n")
    assert b"10,0,0,11" not in told


def test_G4_clients_that_have_proved_themselves_make_no_room() -> None:
    bench = Bench(limits=Limits(controls_per_subscriber=1))
    greeted(bench, Peer.SERVER).client(b"USER a\r\n")
    bench.new(segment(REMOTE + 1, 2000, SERVER, 21), OUT_PORT, FTP)
    assert controls(bench) == 1
    assert bench.counter("alg.ftp.controls.refused") == 1


@pytest.mark.parametrize("away", [1, 50, 60000, 1 << 20, -1])
def test_a_blind_RST_does_not_end_a_session_and_its_pinholes(away: int) -> None:
    talk = greeted()
    talk.client(PORT)
    assert len(talk.bench.show("pinholes")) == 1
    server = talk.ends[Peer.SERVER]
    outside = talk.outside
    seq = (server.isn + server.nxt + away) % (1 << 32)
    forged = segment(REMOTE, PORTS[Peer.SERVER], *outside, RST, seq)
    out = talk.bench.punt(ev.Reason.ALG, forged, OUT_PORT, FTP)
    assert [o.ingress_port for o in out] == [IN_PORT], "a challenge to the server"
    talk.bench.tick(2.0)
    assert len(talk.bench.show("pinholes")) == 1
    assert talk.server(b"200 ok\r\n") == b"200 ok\r\n"
    assert talk.bench.counter("alg.ftp.segments.inexact-reset") == 1


def test_an_exact_RST_ends_a_session_and_its_pinholes() -> None:
    talk = greeted()
    talk.client(PORT)
    talk.finish(Peer.SERVER, RST)
    talk.bench.tick(2.0)
    assert talk.bench.show("pinholes") == []
    assert talk.bench.counter("alg.ftp.closed.reset") == 1
