"""Two organisations with the same inside addresses on one switch, with real daemons.

In the lab `tenants` red has FTP on at port 21, and blue at port 2121.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from p4alg.config.errors import UsageError
from p4alg.lab import plan, runner
from peers import floods, ftp
from peers.ftp import Server
from tests.integration.conftest import BMV2, up
from tests.integration.conftest import CONFIG as NAT_CONFIG
from tests.integration.conftest import Lab as BareLab
from tests.integration.marks import needs_lab

CONFIG = NAT_CONFIG.with_name("tenants.config.yaml")

SIZE = 200_000
PROGRAMS = ("ip", "ethtool", "vsftpd", "curl", "lftp")
URL, OTHER_URL = "ftp://198.51.100.11", "ftp://198.51.100.11:2121"
RED_POOL = {f"203.0.113.{n}" for n in range(8)}
BLUE_POOL = {f"203.0.113.{n}" for n in range(8, 16)}

pytestmark = needs_lab(*PROGRAMS)


class Lab(BareLab):
    """The lab that is up, with FTP servers outside and one in each organisation."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target
        self.outside = ftp.serve("outside1", SIZE)
        self.other = ftp.serve("outside1", SIZE, port=2121)
        self.red = ftp.serve("red1", SIZE)
        self.blue = ftp.serve("blue1", SIZE, port=2121)

    def of(self, what: str, organisation: str) -> Any:
        """A view of one organisation."""
        return self.client.call("show", what=what, organisation=organisation)

    def rows(self, what: str, organisation: str | None = None) -> list[dict[str, Any]]:
        """The rows of a view that has plain flows, as `p4alg show` gets them."""
        chosen = {} if organisation is None else {"organisation": organisation}
        found = self.client.call("show", what=what, plain=True, **chosen)
        return list(found["rows"])


@pytest.fixture(scope="module", params=["embedded", BMV2])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with up(request.param, CONFIG, "tenants"):
        yield Lab(request.param)


def moves(client: str, host: str, server: Server, url: str, mode: str, limit: float = 20.0) -> bool:
    """Whether a file crosses to a host and back."""
    return all(
        move(client, host, server, url, mode, limit).intact for move in (ftp.fetch, ftp.send)
    )


def restart() -> None:
    """Kill the controller, and start another one on the configuration as commands have left it."""
    (controller,) = [p for p in runner.current().processes if p.name == runner.CONTROLLER]
    os.kill(controller.pid, signal.SIGKILL)
    time.sleep(0.3)
    runner.restart(runner.CONTROLLER)


def run(host: str, *command: str) -> subprocess.CompletedProcess[str]:
    space = runner.current().hosts[host]
    told = plan.inside(space, *command)
    return subprocess.run(told, capture_output=True, text=True, timeout=60, check=False)


def test_both_have_the_same_address_inside_and_each_reaches_the_outside(lab: Lab) -> None:
    for host in ("red1", "blue1"):
        assert "10.0.0.11/24" in run(host, "ip", "-4", "-o", "addr", "show", "dev", "eth0").stdout
        assert run(host, "ping", "-c", "2", "-W", "3", "198.51.100.11").returncode == 0
    hosts = {
        (row["organisation"], row["address"]): row["outside"] for row in lab.show("subscribers")
    }
    assert hosts["red", "10.0.0.11"] in RED_POOL
    assert hosts["blue", "10.0.0.11"] in BLUE_POOL


@pytest.mark.parametrize("client", ["curl", "lftp"])
def test_active_FTP_works_on_the_service_of_each_and_on_no_other(lab: Lab, client: str) -> None:
    assert moves(client, "red1", lab.outside, URL, "PORT")
    assert moves(client, "blue1", lab.other, OTHER_URL, "PORT")
    assert not ftp.fetch(client, "red1", lab.other, OTHER_URL, "PORT", 6.0).intact
    assert not ftp.fetch(client, "blue1", lab.outside, URL, "PORT", 6.0).intact
    # Passive mode needs no ALG.
    assert ftp.fetch(client, "blue1", lab.outside, URL, "PASV", 20.0).intact


def test_both_at_once_from_the_same_inside_address(lab: Lab) -> None:
    """Their control connections, and what these open, are told apart at the same time."""
    urls = {"red1": (URL, lab.outside), "blue1": (OTHER_URL, lab.other)}
    got = {host: lab.outside.folder.parent / f"both-{host}" for host in urls}
    running = []
    for host, (url, _) in urls.items():
        several = "; ".join(f"get {ftp.FILE} -o {got[host]}.{n}" for n in range(5))
        command = f"set net:max-retries 1; set ftp:passive-mode off; open {url}; {several}"
        running.append(lab.background(host, "lftp", "-c", command))
    assert [process.wait(60) for process in running] == [0, 0]
    for host, (_, server) in urls.items():
        for n in range(5):
            assert ftp.digest(Path(f"{got[host]}.{n}")) == ftp.digest(server.file)


def test_servers_behind_static_mappings_of_each(lab: Lab) -> None:
    for mode in ("PORT", "PASV"):
        assert ftp.fetch("curl", "outside2", lab.red, "ftp://203.0.113.5", mode, 20.0).intact
        there = "ftp://203.0.113.13:2121"
        assert ftp.fetch("curl", "outside2", lab.blue, there, mode, 20.0).intact


def test_one_reaches_the_published_server_of_the_other(lab: Lab) -> None:
    """From inside one organisation to an outside address of the other (RFC 4787 REQ-9)."""
    assert ftp.fetch("curl", "red2", lab.blue, "ftp://203.0.113.13:2121", "PASV", 20.0).intact


def test_a_rule_of_one_is_none_of_the_other(lab: Lab) -> None:
    """Blue's rule denies mail; who is denied is not even told that nobody listens."""
    refused, timed_out = 7, 28  # as curl(1) has them
    mail = ["curl", "-sS", "--max-time", "3", "telnet://198.51.100.11:25"]
    assert run("red1", *mail).returncode == refused
    assert run("blue1", *mail).returncode == timed_out


def test_sessions_are_shown_with_their_organisation(lab: Lab) -> None:
    serve = "import socket;s=socket.create_server(('',7000));a=s.accept();b=s.accept();s.accept()"
    waits = lab.background("outside1", "python3", "-c", serve)
    connect = (
        "import socket,time;s=socket.create_connection(('198.51.100.11',7000),5,('',40000));"
        "time.sleep(30)"
    )
    time.sleep(0.5)
    talking = [lab.background(host, "python3", "-c", connect) for host in ("red1", "blue1")]
    try:
        if lab.target == "bmv2":
            # BMv2 does not tell what is in its registers: only the hosts are known.
            hosts = {(row["organisation"], row["address"]) for row in lab.show("subscribers")}
            assert {("red", "10.0.0.11"), ("blue", "10.0.0.11")} <= hosts
            return
        until = time.monotonic() + 10
        while True:
            found = {
                row["organisation"]: row["outside"].rpartition(":")[0]
                for row in lab.rows("sessions")
                if (row["inside"], row["remote"]) == ("10.0.0.11:40000", "198.51.100.11:7000")
            }
            if set(found) == {"red", "blue"} or time.monotonic() > until:
                break
            time.sleep(0.2)
        assert found["red"] in RED_POOL
        assert found["blue"] in BLUE_POOL
        for name in ("red", "blue"):
            assert {row["organisation"] for row in lab.rows("sessions", name)} == {name}
        text = subprocess.run(
            [sys.executable, "-m", "p4alg", "show", "sessions"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert text.startswith("ORGANISATION")
    finally:
        for process in (*talking, waits):
            process.kill()
            process.wait()


def test_an_ALG_is_switched_off_for_one_and_stays_on_for_the_other(lab: Lab) -> None:
    with pytest.raises(UsageError, match="say whose ALG: --organisation NAME"):
        lab.client.call("disable", name="ftp")
    services = lab.show("switch")["tables"]["alg_service"]["entries"]
    lab.client.call("disable", name="ftp", organisation="red")
    try:
        assert not ftp.fetch("curl", "red1", lab.outside, URL, "PORT", 6.0).intact
        assert ftp.fetch("curl", "blue1", lab.other, OTHER_URL, "PORT", 20.0).intact
        restart()
        on = {r["organisation"]: r["enabled"] for r in lab.show("algs") if r["name"] == "ftp"}
        assert on == {"red": False, "blue": True}
    finally:
        lab.client.call("enable", name="ftp", organisation="red")
    until = time.monotonic() + 10
    # The command has been answered when the entries are on their way.
    while lab.show("switch")["tables"]["alg_service"]["entries"] < services:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert ftp.fetch("curl", "red1", lab.outside, URL, "PORT", 20.0).intact


def test_rule_8_a_restarted_controller_takes_over_both(lab: Lab) -> None:
    assert moves("curl", "red1", lab.outside, URL, "PORT")
    assert moves("curl", "blue1", lab.other, OTHER_URL, "PORT")
    ends = ("organisation", "address", "outside")

    def hosts() -> set[tuple[str, ...]]:
        return {tuple(row[end] for end in ends) for row in lab.show("subscribers")}

    before = hosts()
    restart()
    assert before <= hosts()
    told = {row["organisation"] for row in lab.show("events") if "adopted" in row["text"]}
    assert told == {"red", "blue"}
    assert moves("curl", "red1", lab.outside, URL, "PORT")
    assert moves("curl", "blue1", lab.other, OTHER_URL, "PORT")


@pytest.mark.skipif(shutil.which("trafgen") is None, reason="needs trafgen on PATH")
@pytest.mark.parametrize(
    "kind", [floods.FTP_SYNS, floods.FORGED_NEIGHBOURS, floods.ARP_QUESTIONS, floods.SYNS]
)
def test_a_flood_of_one_leaves_the_other_its_share(lab: Lab, kind: str) -> None:
    """These come last: a flood takes all that red may have of blocks and sessions."""
    with floods.flood(kind, "red2", "198.51.100.11", 2000):
        good = sum(
            ftp.fetch("curl", "blue1", lab.other, OTHER_URL, "PORT", 5.0).intact for _ in range(10)
        )
        time.sleep(1.0)
    assert good >= 9
