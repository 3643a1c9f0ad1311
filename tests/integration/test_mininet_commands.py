"""Labs in Mininet as users have them: the prompt, `mn` itself, crashes and bad input."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4alg.lab import topology
from p4alg.lab.processes import free_ports
from p4alg.lab.state import start_time
from tests.integration.conftest import NEEDS_MININET

ROOT = Path(__file__).resolve().parents[2]
PREFIX = f"p4algt{os.getpid()}-"

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to run Mininet"),
    NEEDS_MININET,
]


class Mininet:
    """Commands with a lab of their own, and what is left when they have ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.grpc_port = free_ports(2)
        variables = {"P4ALG_LAB_STATE": str(folder / "lab"), "P4ALG_LAB_PREFIX": PREFIX}
        kept = {k: v for k, v in os.environ.items() if not k.startswith("P4ALG_")}
        self.environment = {**kept, **variables}

    def p4alg(self, *args: str, said: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """`p4alg lab` with `said` at its prompt."""
        return self.run([sys.executable, "-m", "p4alg", "lab", *args], said, **more)

    def prompt(self, *args: str, said: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """`p4alg lab mininet`, on a port of its own."""
        return self.p4alg("mininet", "--grpc-port", str(self.grpc_port), *args, said=said, **more)

    def run(
        self, command: list[str], said: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env={**self.environment, **more},
            input=said,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            cwd=self.folder,
        )

    def left(self) -> set[str]:
        """Namespaces, interfaces, files and processes of the lab that there still are."""
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True)
        left = {line.split()[0] for line in listed.stdout.splitlines() if PREFIX in line}
        left |= {p.name for p in Path("/sys/class/net").iterdir() if "-eth" in p.name}
        left |= {str(self.folder / "lab")} if (self.folder / "lab").exists() else set()
        left |= {str(p) for p in Path("/etc/netns").glob(f"{PREFIX}*")}
        mark = f"P4ALG_LAB_STATE={self.folder}/lab".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes() and start_time(int(process.name)):
                    left.add((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return left

    def leaves_nothing(self) -> None:
        until = time.monotonic() + 8
        while left := self.left():
            assert time.monotonic() < until, left
            time.sleep(0.1)


@pytest.fixture
def mininet(tmp_path: Path) -> Iterator[Mininet]:
    made = Mininet(tmp_path)
    yield made
    made.p4alg("down")
    made.leaves_nothing()


def test_the_prompt_does_what_a_user_expects(mininet: Mininet) -> None:
    said = "inside1 curl -sS outside1\nlinks\npingall\ninside1 getent hosts outside2\n"
    done = mininet.prompt("--pcap", "--messages", "--folder", "logs", said=said)
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    assert "hello from 198.51.100.11" in told
    assert len(re.findall(r"eth0<->switch-eth[1-4] \(OK OK\)", told)) == 4
    # The outside has no way to the private addresses: a NAT, and not a fault.
    assert "inside1 -> inside2 outside1 outside2" in told
    assert "outside1 -> X X outside2" in told
    assert re.search(r"198\.51\.100\.12 +outside2", told)
    assert f"switch: P4Runtime 127.0.0.1:{mininet.grpc_port}, device id 1" in told
    mininet.leaves_nothing()
    logs = mininet.folder / "logs"
    described = json.loads((logs / "topology.json").read_text())
    assert described["switches"]["switch"]["grpc"] == f"127.0.0.1:{mininet.grpc_port}"
    assert "ready" in (logs / "controller.log").read_text()
    assert "WriteRequest" in (logs / "switch.p4runtime.txt").read_text()
    captured = [(logs / "pcap" / f"switch-port{n}.pcap").stat().st_size for n in range(1, 5)]
    assert min(captured) > 24


def test_every_command_finds_the_lab_whoever_has_built_it(mininet: Mininet) -> None:
    inner = f"sh {sys.executable} -m p4alg"
    said = (
        f"{inner} lab status\n{inner} lab exec inside1 -- curl -sS http://outside1/\n"
        f"{inner} alg list\n{inner} lab restart switch\n"
        f"{inner} lab exec inside2 -- curl -sS http://outside1/\n{inner} lab down\n"
    )
    done = mininet.prompt(said=said)
    told = done.stdout
    assert f"inside1         namespace {PREFIX}inside1" in told, done.stderr
    assert "restarted: switch, controller" in told
    assert told.count("hello from 198.51.100.11") == 2
    assert re.search(r"^tftp +yes", told, re.MULTILINE), told
    # `lab down` ends Mininet, prompt and all.
    assert done.returncode == 143
    mininet.leaves_nothing()


def mn(mininet: Mininet, *more: str) -> list[str]:
    """Debian's `mn`, which is a program of the system's Python, with our classes."""
    custom = ROOT / "controller" / "p4alg" / "mininet" / "custom.py"
    mininet.environment["PYTHONPATH"] = str(ROOT / "controller")
    ours = ["--switch", "p4alg", "--controller", "p4alg"]
    return ["/usr/bin/python3", "/usr/bin/mn", "--custom", str(custom), *ours, *more]


@pytest.mark.skipif(not Path("/usr/bin/mn").exists(), reason="needs Debian's mininet (make setup)")
def test_mn_takes_our_switch_controller_and_topology(mininet: Mininet) -> None:
    topo = f"p4alg,nat,grpc_port={mininet.grpc_port}"
    command = mn(mininet, "--topo", topo, "--link", "tc,bw=20,txo=False,rxo=False")
    # What `make setup` made is not seen by the system's Python.
    done = mininet.run(command, "inside1 curl -sS outside1\nlinks\n", P4ALG_PYTHON=sys.executable)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "hello from 198.51.100.11" in told
    assert "(20.00Mbit)" in told


# Crashes and bad input


SCRIPT = """\
import sys, time
from p4alg.mininet import running_lab
with running_lab(sys.argv[1], grpc_port=int(sys.argv[2])) as net:
    print("up", flush=True)
    time.sleep(60)
"""


def running(mininet: Mininet, lab: str) -> subprocess.Popen[str]:
    """A script with a lab that is up."""
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, lab, str(mininet.grpc_port)],
        env=mininet.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    return child


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_script_that_is_ended_leaves_nothing_that_down_does_not_remove(
    mininet: Mininet, number: signal.Signals
) -> None:
    with running(mininet, "office") as script:
        again = mininet.prompt()
        assert again.returncode == 1
        assert again.stderr.startswith("p4alg: a lab is up already: run 'p4alg lab down' first")
        script.send_signal(number)
        script.wait(20)
    down = mininet.p4alg("down")
    assert (down.returncode, down.stderr) == (0, "")
    mininet.leaves_nothing()


def test_the_next_lab_removes_what_a_crash_has_left(mininet: Mininet) -> None:
    with running(mininet, "nat") as script:
        script.kill()
        script.wait(20)
    done = mininet.prompt(said="inside1 curl -sS outside1\n")
    assert done.returncode == 0, done.stderr
    assert "hello from" in done.stdout + done.stderr
    mininet.leaves_nothing()


def refusal(done: subprocess.CompletedProcess[str], status: int) -> str:
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, done.stderr
    (line,) = [text for text in done.stderr.splitlines() if text.strip()]
    return line


def test_an_interface_that_is_there_already_is_named(mininet: Mininet) -> None:
    make = ["ip", "link", "add", "switch-eth2", "type", "veth", "peer", "name", f"p{os.getpid()}"]
    subprocess.run(make, check=True)
    try:
        said = refusal(mininet.prompt(), 1)
    finally:
        subprocess.run(["ip", "link", "del", "switch-eth2"], check=True)
    assert said.startswith("p4alg: interface switch-eth2 exists: ")
    assert "ip link del switch-eth2" in said
    mininet.leaves_nothing()


def test_a_port_in_use_is_named_and_nothing_stays(mininet: Mininet) -> None:
    with socket.socket() as link:
        link.bind(("127.0.0.1", mininet.grpc_port))
        link.listen()
        said = refusal(mininet.prompt(), 1)
    assert said == (
        f"p4alg: 127.0.0.1:{mininet.grpc_port} is in use: end what listens there, "
        "or give 'switch' another address for gRPC"
    )
    mininet.leaves_nothing()


def test_a_namespace_of_that_name_is_left_alone(mininet: Mininet) -> None:
    space = f"{PREFIX}inside1"
    subprocess.run(["ip", "netns", "add", space], check=True)
    try:
        said = refusal(mininet.prompt(), 1)
        assert said == f"p4alg: namespace {space} exists and is not this lab's: remove it first"
    finally:
        subprocess.run(["ip", "netns", "del", space], check=True)
    mininet.leaves_nothing()


def test_a_controller_that_cannot_start_takes_all_with_it(mininet: Mininet) -> None:
    lab = topology.read(topology.find("nat"))
    config = lab.config("switch")
    assert config is not None
    # `check` passes it; the program has no room for so many outside prefixes.
    text = config.read_text(encoding="utf-8")
    pools = ", ".join(f"203.0.113.{number}/32" for number in range(100))
    wrong = mininet.folder / "wrong.yaml"
    wrong.write_text(text.replace("203.0.113.0/28", pools), encoding="utf-8")
    said = refusal(mininet.prompt("-c", str(wrong)), 1)
    assert said.startswith("p4alg: the controller ended: ")
    mininet.leaves_nothing()


@pytest.mark.parametrize("program", ["mnexec", "simple_switch_grpc"])
def test_a_missing_program_is_named_with_its_package(mininet: Mininet, program: str) -> None:
    found = mininet.folder / "bin"
    found.mkdir()
    for name in {"ip", "ethtool", "mnexec", "setpriv", "simple_switch_grpc"} - {program}:
        where = shutil.which(name) or "/bin/false"
        (found / name).symlink_to(where)
    package = {"mnexec": "mininet", "simple_switch_grpc": "behavioral-model"}[program]
    said = refusal(mininet.prompt("--target", "bmv2", PATH=str(found)), 1)
    assert said == f"p4alg: '{program}' is not on PATH: install {package}"


def test_ports_that_the_configuration_does_not_know_are_named(mininet: Mininet) -> None:
    lab = mininet.folder / "mine.yaml"
    lab.write_text("name: t\nhosts:\n  a: {port: 9, address: 10.0.0.2/24}\n", encoding="utf-8")
    config = str(topology.find("nat").with_name("nat.config.yaml"))
    said = refusal(mininet.prompt(str(lab), "-c", config), 2)
    assert said.startswith("p4alg: 'a' is on port 9 of 'switch', which no zone of ")
    mininet.leaves_nothing()


def test_a_switch_of_mn_without_a_configuration_is_told_what_it_lacks(mininet: Mininet) -> None:
    script = (
        "from functools import partial\n"
        "from mininet.net import Mininet\n"
        "from mininet.topo import SingleSwitchTopo\n"
        "from p4alg.mininet import EmbeddedSwitch, P4AlgController, UserError\n"
        "net = Mininet(SingleSwitchTopo(2), controller=P4AlgController,\n"
        f"    switch=partial(EmbeddedSwitch, grpc='127.0.0.1:{mininet.grpc_port}'))\n"
        "try:\n    net.start()\nexcept UserError as error:\n    print(error)\n"
        "finally:\n    net.stop()\n"
    )
    done = mininet.run([sys.executable, "-c", script])
    assert done.stdout.startswith("'s1' has no configuration: use a topology of p4alg"), done
    mininet.leaves_nothing()
