"""The whole gateway with real FTP in a lab: transfers, limits of trust, restarts, commands."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from p4alg.config.errors import UsageError, UserError
from p4alg.lab import plan, runner
from peers import ftp
from peers.ftp import Server
from tests.integration.conftest import CONFIG, reads_registers
from tests.integration.conftest import Lab as BareLab
from tests.integration.marks import needs_lab

SIZE = 300_000
OUTSIDE_URL, INSIDE_URL = "ftp://198.51.100.11", "ftp://203.0.113.5"
SLOW_URL = "ftp://198.51.100.12:2121"
PROGRAMS = ("ip", "ethtool", "vsftpd", "curl", "lftp")

pytestmark = needs_lab(*PROGRAMS)


class Lab(BareLab):
    """A lab that is up, with an FTP server on either side."""

    def __init__(self) -> None:
        super().__init__()
        self.outside = ftp.serve("outside1", SIZE)
        self.inside = ftp.serve("inside1", SIZE)
        self.alternate = ftp.serve("outside1", SIZE, port=2121)
        ftp.serve("outside2", SIZE, port=2121, rate=100_000)


PLAIN = ("sessions", "bindings", "subscribers")
"""Views that plain flows belong to."""
PLAIN_PORT = 23456
OUTSIDE_ADDR = "198.51.100.11"


def wait_until(what: str, check: Any, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def lab(nat_lab: BareLab) -> Lab:
    return Lab()


def transfer(host: str, server: Server, url: str, mode: str, client: str = "curl") -> None:
    for move in (ftp.fetch, ftp.send):
        result = move(client, host, server, url, mode, 20.0)
        assert result.intact, f"{client} {mode} {move.__name__}: {result.said}"


@pytest.mark.parametrize("mode", ftp.MODES)
def test_F1_an_inside_client_transfers_both_ways(lab: Lab, mode: str) -> None:
    transfer("inside1", lab.outside, OUTSIDE_URL, mode)


@pytest.mark.parametrize("mode", ftp.MODES)
def test_F1_an_inside_server_behind_a_static_mapping_transfers_both_ways(
    lab: Lab, mode: str
) -> None:
    transfer("outside1", lab.inside, INSIDE_URL, mode)


@pytest.mark.parametrize("mode", ftp.MODES)
def test_N5382_8_F1_another_inside_host_is_served_by_the_outside_address(
    lab: Lab, mode: str
) -> None:
    transfer("inside2", lab.inside, INSIDE_URL, mode)


@pytest.mark.parametrize("mode", ["PORT", "PASV", "EPSV"])
def test_F2_lftp_transfers_too(lab: Lab, mode: str) -> None:
    transfer("inside2", lab.outside, OUTSIDE_URL, mode, "lftp")
    transfer("outside2", lab.inside, INSIDE_URL, mode, "lftp")


def test_F2_a_mirror_with_several_transfers_at_once(lab: Lab, tmp_path: Path) -> None:
    many = lab.outside.folder / "files" / "many"
    many.mkdir(exist_ok=True)
    for n in range(12):
        (many / f"{n}.bin").write_bytes(os.urandom(20_000))
    command = (
        "set net:max-retries 2; set net:timeout 5; set ftp:passive-mode off;"
        f" open {OUTSIDE_URL}; mirror -P 4 many {tmp_path}/got"
    )
    assert lab.background("inside1", "lftp", "-c", command).wait(60) == 0
    for file in many.iterdir():
        assert (tmp_path / "got" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl on PATH")
def test_F5_passive_transfers_under_TLS_work_and_the_ALG_says_it_stepped_aside(
    lab: Lab, tmp_path: Path
) -> None:
    pem = tmp_path / "server.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=lab"]
    made = [*make, "-days", "2", "-keyout", str(pem), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(made, check=True, capture_output=True)
    pem.write_text(pem.read_text() + (tmp_path / "cert.pem").read_text())
    more = (
        f"ssl_enable=YES\nallow_anon_ssl=YES\nforce_anon_logins_ssl=YES\nrsa_cert_file={pem}\n"
        "force_anon_data_ssl=YES\nrequire_ssl_reuse=NO\n"
    )
    server = ftp.serve("outside2", SIZE, port=21, more=more)
    before = lab.counter("alg.ftp.tls")
    target = tmp_path / "got"
    url = f"ftp://198.51.100.12/{ftp.FILE}"
    curl = ["curl", "-sS", "-k", "--ssl-reqd", "--max-time", "20", "-o", str(target), url]
    assert lab.background("inside1", *curl).wait(30) == 0
    assert ftp.digest(target) == ftp.digest(server.file)
    assert lab.counter("alg.ftp.tls") == before + 1


def test_F7_a_service_on_another_port_works_until_it_is_taken_away(lab: Lab) -> None:
    url = f"{OUTSIDE_URL}:2121"
    assert ftp.fetch("curl", "inside1", lab.alternate, url, "PORT", 20.0).intact
    lab.client.call("services", name="ftp", services=["ftp"])
    assert not ftp.fetch("curl", "inside1", lab.alternate, url, "PORT", 8.0).intact
    lab.client.call("services", name="ftp", services=["ftp", "ftp-alt"])
    assert ftp.fetch("curl", "inside1", lab.alternate, url, "PORT", 20.0).intact


def test_G1_off_active_mode_fails_and_no_packet_is_punted_for_it(lab: Lab) -> None:
    lab.client.call("disable", name="ftp")
    punts = lab.counter("switch.punts.alg")
    assert not ftp.fetch("curl", "inside1", lab.outside, OUTSIDE_URL, "PORT", 8.0).intact
    assert ftp.fetch("curl", "inside1", lab.outside, OUTSIDE_URL, "PASV", 20.0).intact
    assert lab.counter("switch.punts.alg") == punts
    lab.client.call("enable", name="ftp")
    assert ftp.fetch("curl", "inside1", lab.outside, OUTSIDE_URL, "PORT", 20.0).intact


def test_events_tell_of_a_pinhole_from_its_opening_to_its_session(lab: Lab) -> None:
    command = [sys.executable, "-m", "p4alg", "events", "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        try:
            assert follower.stdout is not None
            lines = follower.stdout

            def is_told() -> bool:
                lab.client.call("clear", what="counters", select={"name": "nosuch"})
                return bool(select.select([lines], [], [], 0.1)[0])

            wait_until("an event", is_told)
            assert ftp.fetch("curl", "inside1", lab.outside, OUTSIDE_URL, "PORT", 20.0).intact
            seen: list[tuple[str, str, str]] = []
            while ("pinhole", "closed", "used-up") not in seen or seen[-1][0] != "session":
                row = json.loads(lines.readline())
                if row["alg"] == "ftp":
                    seen.append((row["kind"], row["event"], row["reason"]))
                assert len(seen) < 20, seen
        finally:
            follower.kill()
    wanted = [("session", "opened", ""), ("pinhole", "opened", ""), ("pinhole", "hit", "")]
    places = [seen.index(event) for event in wanted]
    assert places == sorted(places)
    kept = [(row["kind"], row["event"], row["reason"]) for row in lab.client.call("events")]
    assert set(seen) <= set(kept)


def test_F3_bulk_data_never_visits_the_controller(lab: Lab) -> None:
    before = lab.counter("switch.punts.alg") + lab.counter("switch.punts.new-flow")
    assert ftp.fetch("curl", "inside1", lab.outside, OUTSIDE_URL, "PASV", 20.0).intact
    after = lab.counter("switch.punts.alg") + lab.counter("switch.punts.new-flow")
    # 300 KB are over 200 segments; what is punted are commands, replies and first packets.
    assert 0 < after - before < 40


def test_G8_hosts_with_colliding_ports_transfer_at_once(lab: Lab) -> None:
    curl = ("curl", "-sS", "--max-time", "20", "--local-port", "40100", "-o", "/dev/null")
    active = ("--ftp-port", "-", f"{SLOW_URL}/{ftp.FILE}")
    clients = [lab.background(host, *curl, *active) for host in ("inside1", "inside2")]
    assert [client.wait(30) for client in clients] == [0, 0]


def test_rule_8_a_transfer_survives_the_controller_and_the_next_one_takes_over(lab: Lab) -> None:
    slow = lab.background(
        "inside1",
        *("curl", "-sS", "--max-time", "30", "-o", "/dev/null"),
        *("--ftp-port", "-", f"{SLOW_URL}/{ftp.FILE}"),
    )

    def data() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = lab.show("sessions")
        return [r for r in rows if r["label"].startswith("ftp ") and r["state"] == "established"]

    wait_until("the data connection", data)
    before = {(r["inside"], r["outside"]) for r in lab.show("sessions")}
    (controller,) = [p for p in runner.current().processes if p.name == runner.CONTROLLER]
    os.kill(controller.pid, 9)
    time.sleep(0.3)
    runner.start_controller(CONFIG)
    after = {(r["inside"], r["outside"]) for r in lab.show("sessions")}
    assert before <= after
    assert slow.wait(30) == 0
    transfer("inside1", lab.outside, OUTSIDE_URL, "PORT")


def test_sigterm_leaves_the_switch_forwarding(lab: Lab) -> None:
    slow = lab.background(
        "inside1",
        *("curl", "-sS", "--max-time", "30", "-o", "/dev/null"),
        f"{SLOW_URL}/{ftp.FILE}",
    )
    wait_until(
        "the data connection",
        lambda: [r for r in lab.show("sessions") if r["label"] == "ftp 229" and r["age"] < 2],
    )
    runner.stop(runner.CONTROLLER)
    # Control and data connection go on to their ends without a controller.
    assert slow.wait(30) == 0
    runner.start_controller(CONFIG)
    transfer("inside1", lab.outside, OUTSIDE_URL, "EPSV")


def test_changes_by_command_survive_a_restart_of_the_controller(lab: Lab) -> None:
    lab.client.call("disable", name="ftp")
    runner.restart(runner.CONTROLLER)
    try:
        assert next(row["enabled"] for row in lab.show("algs")) is False
    finally:
        lab.client.call("enable", name="ftp")


def test_views_have_their_keys(lab: Lab) -> None:
    transfer("inside1", lab.outside, OUTSIDE_URL, "PORT")
    assert {"proto", "inside", "outside", "remote", "state", "alg"} <= set(lab.show("sessions")[0])
    assert {"proto", "inside", "outside", "kind", "sessions"} <= set(lab.show("bindings")[0])
    assert {"address", "outside", "bindings", "sessions"} <= set(lab.show("subscribers")[0])
    switch = lab.show("switch")
    assert switch["tables"]["session"]["entries"] == len(lab.show("sessions"))
    assert lab.counter("switch.punts.new-flow") > 0


def test_wrong_commands_are_refused_with_what_is_known(lab: Lab) -> None:
    with pytest.raises(UsageError, match=r"no ALG 'nosuch' \(known: ftp, "):
        lab.client.call("enable", name="nosuch")
    with pytest.raises(UsageError, match=r"no service 'nosuch' \(known: ftp, .*ftp-alt\)"):
        lab.client.call("services", name="ftp", services=["nosuch"])
    with pytest.raises(UserError, match="no command"):
        lab.client.call("nosuch")


def cli(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "p4alg", *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_the_commands_print_for_people_and_for_programs(lab: Lab) -> None:
    for what in ("algs", "sessions", "bindings", "pinholes", "counters", "subscribers", "switch"):
        shown, told = cli("show", what), json.loads(cli("show", what, "--json").stdout)
        lacks = "" if what not in PLAIN else told.get("note", "")
        assert (shown.returncode, shown.stderr) == (0, f"p4alg: {lacks}\n" if lacks else "")
        assert shown.stdout.strip()
    assert cli("alg", "list").stdout.splitlines()[1].split()[:2] == ["ftp", "yes"]
    assert cli("alg", "services", "ftp").stdout.startswith("ftp is on, services: ftp ftp-alt")
    assert cli("alg", "disable", "nosuch").returncode == 2


def test_a_plain_flow_is_shown_where_the_switch_lets_registers_be_read(
    lab: Lab, request: pytest.FixtureRequest
) -> None:
    datagram = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        f"s.bind(('', {PLAIN_PORT})); s.sendto(b'x', ('{OUTSIDE_ADDR}', 9))"
    )
    lab.background("inside1", sys.executable, "-c", datagram).wait(10)
    inside = f"10.0.0.11:{PLAIN_PORT}"

    shown = reads_registers(request.node.callspec.params["nat_lab"])

    def rows(what: str) -> list[dict[str, Any]]:
        told = json.loads(cli("show", what, "--json").stdout)
        found: list[dict[str, Any]] = told["rows"]
        assert told["plain_flows"] is shown
        return [row for row in found if row.get("inside") == inside]

    if not shown:
        assert rows("sessions") == rows("bindings") == []
        return
    wait_until("the flow is shown", lambda: rows("sessions"))
    (session,), (binding,) = rows("sessions"), rows("bindings")
    assert session["outside"] == binding["outside"]
    assert session["remote"] == f"{OUTSIDE_ADDR}:9"
    assert (session["kept_by"], binding["kind"], binding["sessions"]) == ("switch", "plain", 1)
    assert 250 < session["expires_in"] <= 301


def test_a_second_controller_is_told_that_there_is_one(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="runs in the lab already"):
        runner.start_controller(CONFIG)
    for socket, reason in (
        (runner.control_socket(), "another controller serves"),
        (tmp_path / "other.sock", "another controller is primary; stop it first"),
    ):
        second = run_at_switch(CONFIG, socket)
        assert second.returncode == 1
        assert reason in second.stderr
        assert len(second.stderr.splitlines()) == 1
    assert lab.show("algs")


def run_at_switch(config: Path, socket: Path | None) -> subprocess.CompletedProcess[str]:
    lab = runner.current()
    return subprocess.run(
        plan.inside(
            lab.hosts["switch"],
            *(sys.executable, "-m", "p4alg", "run", "-c", str(config)),
            *("--grpc", lab.switches["switch"].grpc),
        ),
        env={**os.environ, "P4ALG_SOCKET": str(socket)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_controller_that_loses_its_switch_says_so_and_ends(lab: Lab) -> None:
    (switch,) = [p for p in runner.current().processes if p.name == "switch"]
    (controller,) = [p for p in runner.current().processes if p.name == runner.CONTROLLER]
    os.kill(switch.pid, 9)
    wait_until("the controller's end", lambda: not controller.alive())
    said = runner.logs()["controller"].splitlines()[-1]
    grpc = runner.current().switches["switch"].grpc
    assert said.startswith(f"p4alg: {grpc}: lost the switch")
    unreachable = run_at_switch(CONFIG, Path("/run/p4alg/none.sock"))
    assert unreachable.returncode == 1
    assert "start it" in unreachable.stderr
    assert len(unreachable.stderr.splitlines()) == 1
