"""A lab is built, used and removed with the real commands, in namespaces of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4alg.lab import topology
from p4alg.lab.state import start_time

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(
        shutil.which("ip") is None or shutil.which("ethtool") is None,
        reason="needs ip (iproute2) and ethtool",
    ),
]

PREFIX = f"p4algt{os.getpid()}-"


class Cli:
    """The `p4alg` command with a state directory and namespaces of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        variables = {"P4ALG_LAB_STATE": str(folder), "P4ALG_LAB_PREFIX": PREFIX}
        self.environment = {**os.environ, **variables}

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "p4alg", *args]

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command("lab", *args),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def left_behind() -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    spaces = [line for line in listed.stdout.splitlines() if line.startswith(PREFIX)]
    return spaces + [str(path) for path in Path("/etc/netns").glob(f"{PREFIX}*")]


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    lab = Cli(tmp_path / "lab")
    yield lab
    lab("down")
    assert left_behind() == []


TARGETS = [
    "embedded",
    pytest.param(
        "bmv2",
        marks=[
            pytest.mark.bmv2,
            pytest.mark.skipif(
                shutil.which("simple_switch_grpc") is None,
                reason="needs simple_switch_grpc on PATH",
            ),
        ],
    ),
]


@pytest.mark.parametrize("target", TARGETS)
def test_a_lab_comes_up_and_goes_down_without_a_trace(cli: Cli, target: str) -> None:
    up = cli("up", "--target", target)
    assert (up.returncode, up.stderr) == (0, "")
    status = json.loads(cli("status", "--json").stdout)
    assert list(status["hosts"]) == ["switch", "inside1", "inside2", "outside1", "outside2"]
    assert [(p["name"], p["running"]) for p in status["processes"]] == [
        ("switch", True),
        ("controller", True),
        ("outside1-tcp-80", True),
        ("outside1-tcp-21", True),
    ]
    assert status["switches"] == {
        "switch": {"grpc": f"unix:{cli.folder}/switch.p4rt", "device_id": 1}
    }
    page = cli("exec", "inside1", "--", "curl", "-sS", "http://outside1/")
    assert (page.stdout, page.stderr) == ("hello from 198.51.100.11\n", "")
    shown = json.loads(cli("exec", "outside1", "--", "ip", "-j", "addr", "show", "eth0").stdout)
    assert [a["local"] for a in shown[0]["addr_info"]] == ["198.51.100.11"]
    assert "LOWER_UP" in shown[0]["flags"]
    routes = cli("exec", "outside1", "--", "ip", "route").stdout
    assert "203.0.113.0/28 via 198.51.100.1" in routes
    assert "default" not in routes
    assert cli("down").returncode == 0
    assert left_behind() == []
    assert not cli.folder.exists()
    assert [p for p in status["processes"] if start_time(p["pid"]) is not None] == []


def test_exec_passes_the_exit_status_of_the_command_on(cli: Cli) -> None:
    assert cli("up").returncode == 0
    assert cli("exec", "inside1", "--", "sh", "-c", "exit 7").returncode == 7
    unknown = cli("exec", "nobody", "--", "true")
    assert unknown.returncode == 2
    assert "no host 'nobody'" in unknown.stderr
    again = cli("up")
    assert again.returncode == 1
    assert "a lab is up already" in again.stderr


def test_down_removes_a_lab_whose_switch_was_killed_and_whose_hosts_are_busy(cli: Cli) -> None:
    assert cli("up").returncode == 0
    switch = json.loads(cli("status", "--json").stdout)["processes"][0]["pid"]
    os.kill(switch, 9)
    sleeper = subprocess.Popen(["ip", "netns", "exec", f"{PREFIX}inside1", "sleep", "300"])
    try:
        status = cli("status")
        assert status.returncode == 1
        assert "the switch has ended" in status.stderr
        assert cli("down").returncode == 0
        assert sleeper.wait(timeout=10) != 0
    finally:
        if sleeper.poll() is None:
            sleeper.kill()
    assert left_behind() == []


def test_a_failing_up_undoes_itself(cli: Cli, tmp_path: Path) -> None:
    # 10.0.0.0/24 is on the link already, so the kernel refuses the route.
    topology = tmp_path / "bad.yaml"
    topology.write_text(
        "name: bad\nhosts:\n  a:\n    port: 1\n    address: 10.0.0.2/24\n    gateway: 10.0.0.1\n"
        "    routes:\n      - {to: 0.0.0.0/0, via: 10.0.0.3}\n",
        encoding="utf-8",
    )
    up = cli("up", str(topology))
    assert up.returncode == 1
    assert len(up.stderr.splitlines()) == 1
    assert left_behind() == []
    assert not cli.folder.exists()
    status = cli("status")
    assert (status.returncode, status.stderr) == (1, "p4alg: no lab is up: run 'p4alg lab up'\n")


def test_without_a_controller_the_switch_waits_for_one(cli: Cli) -> None:
    served = f"unix:{cli.folder}/switch.p4rt"
    up = cli("up", "--no-controller", "--no-servers")
    assert up.stdout.splitlines()[:2] == [
        "lab 'nat' is up (embedded switch, no controller): inside1, inside2, outside1, outside2",
        f"  switch: P4Runtime {served}, device id 1, in namespace {PREFIX}switch",
    ]
    # A controller that somebody brings reaches the switch from anywhere on the machine.
    config = str(topology.find("nat").with_name("nat.config.yaml"))
    own = {"P4ALG_SOCKET": str(cli.folder / "mine.sock"), "P4ALG_STATE": str(cli.folder / "mine")}
    environment = {**cli.environment, **own}
    command = cli.command("run", "-c", config, "--grpc", served)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as mine:
        assert mine.stdout is not None
        assert mine.stdout.readline().startswith(f"p4alg: ready: switch {served}, ")
        # It is the controller itself that is ended here, and says so.
        mine.terminate()
        assert mine.stdout.readline() == "p4alg: stopped; the switch goes on forwarding\n"
        assert mine.wait(10) == 0


def test_exec_takes_its_program_with_it_when_it_is_ended(cli: Cli) -> None:
    assert cli("up", "--no-controller", "--no-servers").returncode == 0
    for number in (signal.SIGTERM, signal.SIGKILL):
        command = cli.command("lab", "exec", "inside1", "--", "sh", "-c", "echo $$; read x")
        with subprocess.Popen(
            command, env=cli.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as program:
            assert program.stdout is not None
            pid = int(program.stdout.readline())
            program.send_signal(number)
            assert program.wait(10) == -number
            assert start_time(pid) is None


def test_everything_that_is_recorded_is_in_the_named_folder_and_stays(
    cli: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    up = cli("up", "--pcap", "--messages", "--folder", str(folder))
    assert up.returncode == 0, up.stderr
    assert up.stdout.splitlines()[-1] == f"  logs: {folder}"
    assert cli("exec", "inside1", "--", "curl", "-sS", "http://outside1/").returncode == 0
    assert cli("down").returncode == 0
    described = json.loads((folder / "topology.json").read_text())
    assert described["links"][0] == ["inside1", "switch-p1"]
    assert "ready" in (folder / "switch.log").read_text()
    assert "ready" in (folder / "controller.log").read_text()
    assert "GatewayIngress.session" in (folder / "switch.p4runtime.txt").read_text()
    captures = {path.name: path.stat().st_size for path in (folder / "pcap").iterdir()}
    assert sorted(captures) == [f"switch-port{number}.pcap" for number in range(1, 5)]
    read = ["tcpdump", "-nr", str(folder / "pcap" / "switch-port3.pcap"), "tcp", "port", "80"]
    shown = subprocess.run(read, capture_output=True, text=True, check=True).stdout
    assert "203.0.113." in shown
    assert "10.0.0.11" not in shown


def test_switch_and_controller_are_restarted_alone(cli: Cli) -> None:
    assert cli("up").returncode == 0

    def pids() -> dict[str, int]:
        status = json.loads(cli("status", "--json").stdout)
        return {p["name"]: p["pid"] for p in status["processes"] if p["running"]}

    first = pids()
    assert cli("restart", "controller").stdout == "restarted: controller\n"
    second = pids()
    assert second["switch"] == first["switch"]
    assert second["controller"] != first["controller"]
    assert cli("restart", "switch").stdout == "restarted: switch, controller\n"
    third = pids()
    assert len({first["switch"], third["switch"]}) == 2
    assert third["controller"] != second["controller"]
    page = cli("exec", "inside1", "--", "curl", "-sS", "--max-time", "10", "http://outside1/")
    assert page.stdout == "hello from 198.51.100.11\n"


def test_a_named_lab_stands_beside_another(cli: Cli) -> None:
    named = Cli(cli.folder)
    name = f"t{os.getpid()}"[:12]
    for variable in ("P4ALG_LAB_STATE", "P4ALG_LAB_PREFIX"):
        del named.environment[variable]
    named.environment["P4ALG_LAB"] = name
    assert cli("up", "--no-servers").returncode == 0
    try:
        assert named("up", "two-nats").returncode == 0
        status = json.loads(named("status", "--json").stdout)
        assert status["folder"] == f"/run/p4alg/lab-{name}"
        assert status["hosts"]["home"] == f"p4alg-{name}-home"
        assert named("exec", "inside1", "--", "curl", "-sS", "outside1").stdout.startswith("hello")
        assert json.loads(cli("status", "--json").stdout)["topology"] == "nat"
    finally:
        assert named("down").returncode == 0
    assert not Path(status["folder"]).exists()


def test_commands_in_a_lab_with_two_controllers_name_one(cli: Cli) -> None:
    up = cli("up", "two-nats", "--no-servers")
    assert up.returncode == 0
    sockets = [line.split()[-1] for line in up.stdout.splitlines() if "--socket" in line]
    assert [Path(path).name for path in sockets] == [
        "home-controller.sock",
        "carrier-controller.sock",
    ]
    for path in sockets:
        show = cli.command("show", "switch", "--socket", path)
        assert subprocess.run(show, env=cli.environment, capture_output=True).returncode == 0
    show = cli.command("show", "switch")
    done = subprocess.run(show, env=cli.environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        f"p4alg: the lab has several controllers: give --socket {sockets[0]} or {sockets[1]}\n"
    )


def test_a_server_that_does_not_start_undoes_the_lab_and_is_named(cli: Cli, tmp_path: Path) -> None:
    lab = tmp_path / "mine.yaml"
    lab.write_text(
        "name: mine\nhosts:\n  a:\n    port: 1\n    address: 10.0.0.2/24\n"
        "    servers: [{run: no-such-server --now, listens: tcp/7}]\n",
        encoding="utf-8",
    )
    up = cli("up", str(lab))
    assert up.returncode == 1
    (line,) = up.stderr.splitlines()
    assert line.startswith("p4alg: the server a-tcp-7 ended: ")
    assert "no-such-server: not found" in line
    assert line.endswith("; correct that, or give --no-servers")
    assert left_behind() == []
    assert cli("up", str(lab), "--no-servers").returncode == 0


def test_ports_that_the_configuration_does_not_know_are_refused_before_anything_is_made(
    cli: Cli, tmp_path: Path
) -> None:
    lab = tmp_path / "mine.yaml"
    lab.write_text("name: t\nhosts:\n  a: {port: 9, address: 10.0.0.2/24}\n", encoding="utf-8")
    config = topology.find("nat").with_name("nat.config.yaml")
    up = cli("up", str(lab), "-c", str(config))
    assert (up.returncode, up.stderr) == (
        2,
        f"p4alg: 'a' is on port 9 of 'switch', which no zone of {config} has: "
        "add it there, or give another configuration by -c\n",
    )
    assert not cli.folder.exists()
