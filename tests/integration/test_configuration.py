"""The configuration is changed, committed, taken back and reloaded while transfers go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from p4alg.config.errors import UserError
from p4alg.lab import runner, state
from peers import ftp
from tests.integration.conftest import CONFIG
from tests.integration.conftest import Lab as BareLab
from tests.integration.marks import needs_lab

SIZE = 300_000
URL, PROGRAMS = "ftp://198.51.100.11", ("ip", "ethtool", "vsftpd", "curl")
SLOW_URL = "ftp://198.51.100.12"
RULE = {"action": "deny", "from": "inside", "protocol": "tcp", "ports": 25}
DENY = {"action": "set", "path": "policy.+", "value": RULE}

pytestmark = needs_lab(*PROGRAMS)


class Lab(BareLab):
    """A lab that is up, with an FTP server outside."""

    def __init__(self) -> None:
        super().__init__()
        self.outside = ftp.serve("outside1", SIZE)
        ftp.serve("outside2", SIZE, rate=60_000)
        self.file = state.directory() / "controller.config.yaml"

    def config(self, action: str, **arguments: Any) -> Any:
        return self.client.call("config", action=action, **arguments)

    def commit(self, why: str, *changes: dict[str, Any]) -> Any:
        for change in changes:
            self.client.call("config", **change)
        return self.config("commit", why=why)

    def alg(self, name: str) -> dict[str, Any]:
        return next(row for row in self.show("algs") if row["name"] == name)

    def fetched(self) -> bool:
        """Whether an active transfer works, which needs the ALG."""
        return ftp.fetch("curl", "inside1", self.outside, URL, "PORT", 5.0).intact

    @contextmanager
    def transfer(self) -> Iterator[subprocess.Popen[bytes]]:
        """An active transfer that takes some seconds, and goes on to its end."""
        slow = self.background(
            "inside1",
            *("curl", "-sS", "--max-time", "30", "-o", "/dev/null"),
            *("--ftp-port", "-", f"{SLOW_URL}/{ftp.FILE}"),
        )
        wait_until("the data connection", self.data)
        yield slow
        assert slow.poll() is None, "the transfer was over before the change"
        assert slow.wait(30) == 0

    def data(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.show("sessions")
        return [r for r in rows if r["label"].startswith("ftp ") and r["state"] == "established"]


def wait_until(what: str, check: Any, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def made(nat_lab: BareLab) -> Lab:
    return Lab()


@pytest.fixture
def lab(made: Lab) -> Iterator[Lab]:
    """The lab, whose configuration is as it was at first after each test."""
    yield made
    made.file.write_text(CONFIG.read_text())
    made.config("discard", force=True)
    made.config("reload")


def test_a_transfer_goes_on_across_a_commit_a_rollback_and_a_reload(lab: Lab) -> None:
    shipped, first = CONFIG.read_text(), lab.config("show")["revision"]
    limits = {"action": "set", "path": "limits.sessions", "value": 100_000}
    with lab.transfer():
        before = {(r["inside"], r["outside"]) for r in lab.show("sessions")}
        done = lab.commit("no mail", DENY, limits)
        assert len(done["effects"]) == 2
        assert lab.config("rollback", revision=first)["revision"] == done["revision"] + 1
        lab.file.write_text(lab.file.read_text() + "denied_ports: [3306]\n")
        assert lab.config("reload")["effects"]
        assert before <= {(r["inside"], r["outside"]) for r in lab.show("sessions")}
    assert CONFIG.read_text() == shipped
    assert lab.fetched()


def test_a_rule_holds_as_soon_as_it_is_committed_and_no_longer_when_it_is_taken_back(
    lab: Lab,
) -> None:
    first = lab.config("show")["revision"]
    closed = {**RULE, "ports": 21}
    assert lab.fetched()
    lab.commit("no FTP", {**DENY, "value": closed})
    assert not lab.fetched()
    lab.config("rollback", revision=first)
    assert lab.fetched()


def test_a_static_mapping_is_there_as_soon_as_it_is_committed(lab: Lab) -> None:
    first = lab.config("show")["revision"]
    server = ftp.serve("inside2", SIZE)
    url, inside = "ftp://203.0.113.6", "10.0.0.12"
    mapping = {"protocol": "tcp", "outside": "203.0.113.6:21", "inside": f"{inside}:21"}
    with lab.transfer():
        lab.commit("a server", {"action": "set", "path": "nat.static.+", "value": mapping})
        for mode in ("PORT", "PASV"):
            assert ftp.fetch("curl", "outside1", server, url, mode, 20.0).intact

    def back() -> bool:
        lab.client.call("clear", what="sessions", select={"inside": inside})
        try:
            lab.config("rollback", revision=first)
        except UserError as error:
            refused.append(str(error))
        return bool(lab.config("show")["revision"] == first + 2)

    refused: list[str] = []
    wait_until("the mapping to be free", back)
    wanted = "21 is in use: end its sessions by 'p4alg clear' first"
    assert [text for text in refused if not text.endswith(wanted)] == []
    assert not ftp.fetch("curl", "outside1", server, url, "PASV", 5.0).intact
    assert lab.fetched()


def test_G1_an_ALG_is_off_by_a_commit_and_on_again_after_SIGHUP(lab: Lab) -> None:
    lab.commit("off", {"action": "set", "path": "algs.ftp.enabled", "value": False})
    assert not lab.fetched()
    lab.file.write_text(CONFIG.read_text())
    (controller,) = [p for p in runner.current().processes if p.name == runner.CONTROLLER]
    os.kill(controller.pid, signal.SIGHUP)
    wait_until("the ALG to be on", lambda: lab.alg("ftp")["enabled"])
    assert lab.fetched()
    audited = [row["text"] for row in lab.show("events") if row["text"].startswith("audit: ")]
    assert any("(SIGHUP): ALG ftp: on" in text for text in audited)


def test_one_alg_disable_freezes_nothing_else(lab: Lab) -> None:
    """What a command changed is in the file, and the rest of the file holds on."""
    lab.client.call("disable", name="sip")
    text = lab.file.read_text()
    assert yaml.safe_load(text)["algs"]["sip"] == {"enabled": False}
    assert [line for line in CONFIG.read_text().splitlines() if line not in text] == []
    runner.stop(runner.CONTROLLER)
    lab.file.write_text(text.replace("[ftp, ftp-alt]", "[ftp]") + "refuse: pass\n")
    restart()
    assert not lab.alg("sip")["enabled"]
    assert lab.alg("ftp")["services"] == ["ftp"]
    history = lab.config("history")
    assert history[-1]["why"] == "found at the start"
    assert "refuse: reset -> pass, for new control sessions" in history[-1]["changes"]


def restart() -> None:
    """Start the controller of the lab again, with what is in the file."""
    (old,) = [p for p in runner.current().processes if p.name == runner.CONTROLLER]
    runner.start(old.name, old.host, [*old.command], {**os.environ, **old.variables})
    wait_until("the controller", lambda: "p4alg: ready" in runner.logs()[runner.CONTROLLER])


def test_the_second_of_two_operators_is_told(lab: Lab) -> None:
    lab.config(**{k: v for k, v in DENY.items() if k != "action"}, action="set", who="anna")
    with pytest.raises(UserError, match="anna is changing the configuration since"):
        lab.config("set", path="refuse", value="pass", who="ben")
    base = lab.config("show")["revision"]
    lab.client.call("disable", name="sip")
    with pytest.raises(UserError, match=r"root committed revision .* meanwhile"):
        lab.config("commit", who="anna", base=base)


def test_what_needs_a_restart_waits_for_it_as_a_whole(lab: Lab) -> None:
    pool = {"action": "set", "path": "nat.pools.+", "value": "203.0.113.64/29"}
    with pytest.raises(UserError, match=r"nat\.pools: this needs a restart .*--at-restart"):
        lab.commit("more room", pool, DENY)
    done = lab.config("commit", why="more room", at_restart=True)
    assert done["needs_restart"]
    runner.restart(runner.CONTROLLER)
    assert not lab.config("show")["needs_restart"]
    assert lab.config("show")["revision"] == done["revision"]
    # Back again: the pool has to go before the next test.
    lab.file.write_text(CONFIG.read_text())
    runner.restart(runner.CONTROLLER)


def test_a_full_disk_is_one_clear_line_and_nothing_is_half_applied(tmp_path: Path) -> None:
    """The revisions are on a file system of 64 KiB that is full, in a namespace of its own."""
    small = tmp_path / "small"
    small.mkdir()
    script = f"""
        mount -t tmpfs -o size=64k p4alg-test {small} || exit 9
        {sys.executable} - <<'END'
import os
from pathlib import Path
from p4alg.config.errors import UserError
from p4alg.daemon.revisions import Revision, Revisions
folder = Path("{small}")
kept, file = Revisions(folder / "kept"), folder / "c.yaml"
file.write_text("old")
kept.add(Revision(0, "a", "b", "c"), "old", file)
with (folder / "ballast").open("wb", buffering=0) as ballast:
    try:
        while True:
            ballast.write(b"x" * 4096)
    except OSError:
        pass
before = sorted(path.name for path in folder.rglob("*"))
try:
    kept.add(Revision(0, "a", "b", "c"), "new" * 4000, file)
    raise SystemExit("it was not full")
except UserError as error:
    print(error)
assert file.read_text() == "old"
assert sorted(path.name for path in folder.rglob("*")) == before
(folder / "ballast").unlink()
assert kept.add(Revision(0, "a", "b", "c"), "new", file).revision == 2
END
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert "No space left on device; nothing was changed: correct that" in line


def test_people_see_what_happens(lab: Lab) -> None:
    def cli(*args: str) -> str:
        command = [sys.executable, "-m", "p4alg", "config", *args]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "+  - {action: deny, protocol: tcp, ports: 25}" in cli(
        "set", "policy.+", "{action: deny, protocol: tcp, ports: 25}"
    )
    assert "* policy and exempt: 0 -> 1 rules" in cli("diff")
    assert cli("check") == "candidate: ok\n"
    assert "\n* policy and exempt" in cli("commit", "-m", "no mail")
    assert "no mail" in cli("history").splitlines()[-1]
    assert "no mail" in cli("show").splitlines()[1]
