"""The Debian package on a machine with systemd: installed, run as its units say, removed."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from distribution import deb
from tests.integration.machine import Machine, machine, missing

SERVICES = ("p4alg-switch.service", "p4alg.service", "p4alg-console.service")
SECONDS = 60.0
NET_RAW = 1 << 13
"""The bit of CAP_NET_RAW (capabilities(7))."""
HOSTS = {
    "inside": ("eth1", "10.0.0.11/24", "10.0.0.1"),
    "outside": ("eth2", "198.51.100.11/24", "198.51.100.1"),
}
ROOT = Path("/")
LEFT_BY_OTHERS = (
    "var/lib/dpkg",
    "var/log",
    "var/lib/systemd",
    "var/cache/man",
    "var/cache/ldconfig",
)

_why_not = missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.lab,
    pytest.mark.skipif(_why_not is not None, reason=_why_not or ""),
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb"),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return deb.build(tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="module")
def computer(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("machine"), package) as found:
        yield found


def test_lintian_has_nothing_to_say(package: Path) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("needs lintian")
    done = subprocess.run(
        ["lintian", "--no-cfg", "--fail-on", "error,warning", package],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_machine_runs_the_gateway_and_is_rid_of_it(computer: Machine, package: Path) -> None:
    """One story, as each step needs those before it."""
    before = computer.written()
    computer.run("dpkg", "-i", f"/run/{package.name}")
    check_what_is_installed(computer)
    serve(computer)
    check_console(computer)
    check_rights(computer)
    check_control(computer)
    for service in SERVICES:
        check_it_comes_back(computer, service)
    # A new version of the same package: what runs goes on with it.
    pids = {service: main_pid(computer, service) for service in SERVICES}
    computer.run("dpkg", "-i", f"/run/{package.name}")
    assert all(main_pid(computer, service) not in (0, pid) for service, pid in pids.items())
    ping(computer)
    computer.run("systemctl", "enable", *SERVICES)
    check_removal(computer, before)


def check_what_is_installed(computer: Machine) -> None:
    assert computer.told("p4alg", "--version").startswith("p4alg ")
    assert "ok, 2 zones" in computer.told("p4alg", "check", "/etc/p4alg/p4alg.yaml")
    units = [f"/lib/systemd/system/{service}" for service in SERVICES]
    done = computer.run("systemd-analyze", "verify", *units)
    assert (done.stdout, done.stderr) == ("", "")
    # Nothing runs before the configuration is this machine's.
    done = computer.run("systemctl", "is-active", *SERVICES, check=False)
    assert done.stdout.split() == ["inactive"] * len(SERVICES)


def serve(computer: Machine) -> None:
    """Two hosts at the interfaces that the configuration of the package names."""
    for name, (interface, address, gateway) in HOSTS.items():
        computer.run("ip", "netns", "add", name)
        computer.run(
            *("ip", "link", "add", interface, "type", "veth", "peer", "name", "eth0"),
            *("netns", name),
        )
        computer.run("ip", "link", "set", interface, "up")
        computer.run("ethtool", "-K", interface, "gro", "off")
        computer.run("ip", "-n", name, "addr", "add", address, "dev", "eth0")
        computer.run("ip", "-n", name, "link", "set", "eth0", "up")
        computer.run("ip", "-n", name, "route", "add", "default", "via", gateway)
    computer.run("systemctl", "start", *SERVICES)
    ping(computer)


def ping(computer: Machine) -> None:
    # With a deadline it is sent until there is an answer.
    done = computer.run(
        *("ip", "netns", "exec", "inside", "ping", "-c", "1", "-i", "0.5", "-w", "60"),
        "198.51.100.11",
        check=False,
    )
    assert done.returncode == 0, done.stdout + journal(computer)


def journal(computer: Machine) -> str:
    return computer.told("journalctl", "--no-pager", "-n", "40", *(f"-u{one}" for one in SERVICES))


def main_pid(computer: Machine, service: str) -> int:
    return int(computer.told("systemctl", "show", "-p", "MainPID", "--value", service))


def check_rights(computer: Machine) -> None:
    """The switch has that for frames only, and the others have none at all."""
    user = computer.told("id", "-u", "p4alg")
    for service, rights in zip(SERVICES, (NET_RAW, 0, 0), strict=True):
        status = computer.told("cat", f"/proc/{main_pid(computer, service)}/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines())
        assert set(fields["Uid"].split()) == {user} != {"0"}
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == rights
        assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    modes = computer.told("stat", "-c", "%a %U %n", "/run/p4alg", "/run/p4alg/p4runtime.sock")
    assert modes.splitlines() == ["1775 root /run/p4alg", "600 p4alg /run/p4alg/p4runtime.sock"]


def check_control(computer: Machine) -> None:
    assert "tcp" in computer.told("p4alg", "alg", "services", "ftp")
    # A change is kept, and goes into the configuration, which is the controller's to write.
    computer.run("p4alg", "alg", "enable", "rtsp")
    assert "rtsp" in computer.told("cat", "/etc/p4alg/p4alg.yaml")
    assert "rtsp" in computer.told("p4alg", "config", "history")
    # One that was made in the file is read by a reload.
    computer.run("sed", "-i", "$ a denied_ports: [8443]", "/etc/p4alg/p4alg.yaml")
    computer.run("systemctl", "reload", "p4alg.service")
    until = time.monotonic() + SECONDS
    while "denied_ports" not in computer.told("p4alg", "config", "show", "--text"):
        assert time.monotonic() < until, journal(computer)
        time.sleep(0.2)
    verdicts = json.loads(computer.run("p4alg", "doctor", "--json", check=False).stdout)
    about = {row["about"]: row["verdict"] for row in verdicts}
    looked_at = ("configuration", "port 1", "port 2", "switch", "program", "control", "state")
    assert [about[name] for name in looked_at] == ["ok"] * len(looked_at)
    done = computer.run(
        "setpriv", "--reuid=65534", "--clear-groups", "p4alg", "show", "algs", check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""


def check_console(computer: Machine) -> None:
    """Whoever has a login there reaches the controller by it, as the console is its user's."""
    user = {"name": "someone", "password": "a long enough password"}
    add = f"echo '{user['password']}' | p4alg console user add {user['name']} --role admin"
    computer.run("runuser", "-u", "p4alg", "--", "sh", "-c", add)
    place = "http://127.0.0.1:8470/api"
    curl = ("curl", "-fsS", "--retry", "30", "--retry-connrefused", "--retry-delay", "1")
    cookies = ("-b", "/run/cookies", "-c", "/run/cookies")
    body = ("-H", "Content-Type: application/json", "-d", json.dumps(user))
    computer.run(*curl, *cookies, *body, f"{place}/login")
    assert '"ftp"' in computer.told(*curl, *cookies, f"{place}/devices/gateway/algs")


def check_it_comes_back(computer: Machine, service: str) -> None:
    old = main_pid(computer, service)
    computer.run("kill", "-KILL", str(old))
    until = time.monotonic() + SECONDS
    while main_pid(computer, service) in (0, old):
        assert time.monotonic() < until, journal(computer)
        time.sleep(0.2)
    ping(computer)


def check_removal(computer: Machine, before: dict[str, str]) -> None:
    computer.run("dpkg", "--remove", "p4alg")
    done = computer.run("systemctl", "is-active", *SERVICES, check=False)
    assert done.stdout.split() == ["inactive"] * len(SERVICES)
    # What its user may want again is kept.
    for kept in ("/etc/p4alg/p4alg.yaml", "/var/lib/p4alg/revisions/journal.jsonl"):
        assert computer.told("cat", kept)
    computer.run("dpkg", "--purge", "p4alg")
    assert computer.run("getent", "passwd", "p4alg", check=False).returncode == 2
    after = computer.written()
    ours = {path for path in after.keys() - before.keys() if not path.startswith(LEFT_BY_OTHERS)}
    # A file of the system that is here too, as /etc/passwd, was written anew. What is whited
    # out (overlayfs: a character device) is gone.
    assert {path for path in ours if (after[path] == "c") == (ROOT / path).exists()} == set()
