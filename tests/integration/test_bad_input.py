"""Whatever is wrong, a command says so in one line, exits as promised and leaves nothing behind.

The real commands, each in a process of its own. A `Sandbox` gives them a lab
state, a control socket and a state file of their own, and looks before and
after a command at files, namespaces and processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import finsy as fy
import pytest

from p4alg.alg.registry import algs
from p4alg.artifacts import shipped
from p4alg.daemon import server
from tests.nobody import NOBODY, interpreter_of_nobody

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / "topologies" / "nat.config.yaml").read_text(encoding="utf-8")
OTHER_PROGRAM = ROOT / "tests" / "softswitch" / "p4" / "l2switch.json"
OTHER_P4INFO = OTHER_PROGRAM.with_name("l2switch.p4info.txtpb")
PREFIX = f"p4algb{os.getpid()}-"
SECONDS = 20.0
TO_DO = re.compile(
    r"\b(run|use|start|stop|give|choose|remove|correct|set|see|install|reinstall|restart|run as)\b"
)
"""A word that tells a person what to do; errors of a configuration name the line instead."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("ethtool") is None,
    reason="needs root, ip (iproute2) and ethtool to make network namespaces",
)


def wait_until(what: str, check: Any, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.02)


class Sandbox:
    """The `p4alg` command with files, namespaces and sockets that are no one else's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "control.sock"
        self.state = folder / "revisions"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("P4ALG_", "GRPC_"))}
        self.environment = {
            **kept,
            "P4ALG_LAB_STATE": str(folder / "lab"),
            "P4ALG_LAB_PREFIX": PREFIX,
            "P4ALG_SOCKET": str(self.socket),
            "P4ALG_STATE": str(self.state),
        }

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def config(self, grpc: str = "127.0.0.1:9") -> Path:
        """The example with another switch; port 9 is that of no one."""
        return self.write(
            "nat.config.yaml", EXAMPLE.replace("unix:/run/p4alg/p4runtime.sock", grpc)
        )

    def call(
        self, *args: str, user: int | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        python, environment = sys.executable, {**self.environment, **variables}
        if user is not None:
            python, path = interpreter_of_nobody()
            environment["PYTHONPATH"] = path
        try:
            return subprocess.run(
                [python, "-m", "p4alg", *args],
                env=environment,
                cwd="/",
                user=user,
                group=user,
                extra_groups=None if user is None else [],
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"no end; it said: {late.stdout!r} {late.stderr!r}") from None

    def refused(self, *args: str, status: int, user: int | None = None, **variables: str) -> str:
        """Run a command that must fail; the line it says."""
        before = self.snapshot()
        done = self.call(*args, user=user, **variables)
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        assert (done.returncode, done.stdout) == (status, ""), done
        lines = done.stderr.splitlines()
        assert len(lines) == 1, done.stderr
        try:
            wait_until("nothing is left behind", lambda: self.snapshot() == before, 5.0)
        except AssertionError:
            assert self.snapshot() == before
        return lines[0]

    def snapshot(self) -> tuple[dict[str, bytes], set[str], set[int]]:
        """Files and sockets in the folder, namespaces of the lab, processes started from here."""
        files: dict[str, bytes] = {}
        for path in sorted(self.folder.rglob("*")):
            if "__pycache__" not in path.parts:
                files[str(path)] = path.read_bytes() if path.is_file() else b""
        return files, namespaces(), self.processes()

    def processes(self) -> set[int]:
        """Every process that has our folder in its environment, whoever its parent is by now."""
        mark = f"P4ALG_LAB_STATE={self.folder}/".encode()
        found: set[int] = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    if mark in (entry / "environ").read_bytes():
                        found.add(int(entry.name))
                except OSError:
                    continue
        return found

    @contextmanager
    def running(self, *args: str, ready: str, **variables: str) -> Iterator[str]:
        """A command that serves, until the end of the context; gives the line that said so."""
        process = subprocess.Popen(
            [sys.executable, "-m", "p4alg", *args],
            env={**self.environment, **variables},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            yield self._line(process, ready)
        finally:
            process.terminate()
            process.communicate(timeout=SECONDS)

    def _line(self, process: subprocess.Popen[bytes], ready: str) -> str:
        assert process.stdout is not None
        until, said = time.monotonic() + SECONDS, b""
        while ready.encode() not in said or not said.endswith(b"\n"):
            assert time.monotonic() < until, said
            if select.select([process.stdout], [], [], 0.2)[0]:
                part = os.read(process.stdout.fileno(), 65536)
                assert part, f"ended: {said!r}"
                said += part
        return said.decode()

    @contextmanager
    def switch(self, *args: str) -> Iterator[str]:
        """An embedded switch; gives its HOST:PORT."""
        with self.running("switch", "--grpc", "127.0.0.1:0", *args, ready="ready") as line:
            found = re.search(r"grpc (127\.0\.0\.1:[0-9]+)", line)
            assert found is not None, line
            yield found[1]

    @contextmanager
    def controller(self, **variables: str) -> Iterator[None]:
        """A controller on a switch of its own."""
        with self.switch() as grpc:
            config = str(self.config(grpc))
            with self.running("run", "-c", config, ready="p4alg: ready", **variables):
                yield


def namespaces() -> set[str]:
    if shutil.which("ip") is None:
        return set()
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False)
    return {line.split()[0] for line in listed.stdout.splitlines() if line.startswith(PREFIX)}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    # Not pytest's own temporary directory, which no other user may enter.
    with tempfile.TemporaryDirectory(prefix="p4algb-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        box = Sandbox(folder)
        yield box
        wait_until("all processes to end", lambda: not box.processes())
        assert namespaces() == set()
        left = [path for path in folder.rglob("*") if path.is_socket()]
        assert left == []


# Configuration

LINES = EXAMPLE.splitlines()


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(LINES, 1) if text in line)


CHANGES = {
    "unknown key": ("filter: address-and-port", "filtre: address", "unknown key 'filtre'"),
    "address": ("10.0.0.1/24", "10.0.0.300/24", "is not an address"),
    "prefix": ("[203.0.113.0/28]", "[203.0.113.1/28]", "has host bits set"),
    "pools overlap": (
        "[203.0.113.0/28]",
        "[203.0.113.0/28, 203.0.113.8/29]",
        "pool 203.0.113.8/29 overlaps pool 203.0.113.0/28",
    ),
    "pool overlaps zone": ("[203.0.113.0/28]", "[10.0.0.128/28]", "overlaps inside zone"),
    "zones overlap": ("198.51.100.1/24", "10.0.0.2/16", "overlaps zone 'inside'"),
    "port in two zones": ("ports: [3, 4]", "ports: [2, 4]", "port 2 is in zone 'inside' already"),
    "mac": ('"02:00:00:01:00:01"', '"03:00:00:01:00:01"', "is not a unicast MAC address"),
    "static behind nothing": ('"10.0.0.11:21"', '"10.9.0.11:21"', "is in no inside zone"),
    "endpoint": ('"203.0.113.5:21"', '"203.0.113.5:0"', "is not ADDRESS:PORT"),
    "service twice": ("services: [ftp, ftp-alt]", "services: [ftp, ftp]", "twice"),
    "no such service": ("services: [ftp, ftp-alt]", "services: [nosuch]", "no service 'nosuch'"),
    "no such ALG": ("  ftp: {services", "  smtp: {services", "unknown key 'smtp'"),
    "ports upside down": ("[tcp/2121]", "[tcp/2121-21]", "the first not above the last"),
    "switch address": ("unix:/run/p4alg/p4runtime.sock", "localhost", "is not HOST:PORT"),
    "key twice": ("device_id: 1", "device_id: 1, device_id: 2", "'device_id' is given twice"),
    "alias": ("[203.0.113.0/28]", "&a [*a]", "alias"),
    "tag": ("[203.0.113.0/28]", "!pool x", "tag '!pool' is not supported"),
    "line break in a key": ("device_id: 1", '"a\\nb": 1', "unknown key"),
    "line break in a value": ("filter: address-and-port", 'filter: "a\\nb"', "is not one of"),
    "number without end": ("device_id: 1", f"device_id: 0x{'f' * 8000}", ""),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_wrong_value_is_refused_with_its_line(sandbox: Sandbox, name: str) -> None:
    old, new, reason = CHANGES[name]
    assert old in EXAMPLE
    config = sandbox.write("bad.yaml", EXAMPLE.replace(old, new))
    said = sandbox.refused("check", str(config), status=2)
    assert re.match(rf"p4alg: {config}:{line_of(old)}:\d+: ", said), said
    assert reason in said


FILES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", ":1:1: the file is empty"),
    "a list": ("- 1\n", ":1:1: expected a mapping"),
    "a word": ("zones", ":1:1: expected a mapping"),
    "not YAML": ("zones: {\n", ":2:1: "),
    "a tab": ("zones:\n\tinside: 1\n", ":2:1: "),
    "a C program": ("#include <stdio.h>\nint main(void) { return 0; }\n", ":2:1: "),
    "two documents": ("a: 1\n---\nb: 2\n", ":2:1: "),
    "deep": ("[" * 100_000, ":1:1: "),
    "not text": (b"\xff\xfe\x00\x80", ": not UTF-8 text"),
    "an ELF file": (b"\x7fELF\x02\x01\x01\x00" + bytes(64), ":1:1: "),
    "too large": (b"#" * (1 << 21), ": larger than 1048576 bytes"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_configuration_is_refused(sandbox: Sandbox, name: str) -> None:
    content, reason = FILES[name]
    config = sandbox.write("bad.yaml", content)
    assert sandbox.refused("check", str(config), status=2).startswith(f"p4alg: {config}{reason}")


@pytest.mark.parametrize("command", ["check", "run", "lab"])
def test_every_command_that_reads_a_configuration_checks_it(sandbox: Sandbox, command: str) -> None:
    before = {"check": ["check"], "run": ["run", "-c"], "lab": ["lab", "up", "-c"]}[command]
    bad = sandbox.write("bad.yaml", EXAMPLE.replace("device_id", "device"))
    assert f"{bad}:2:56: unknown key 'device'" in sandbox.refused(*before, str(bad), status=2)
    missing = sandbox.folder / "nosuch.yaml"
    assert f"{missing}: cannot read it" in sandbox.refused(*before, str(missing), status=2)
    folder = sandbox.refused(*before, str(sandbox.folder), status=2)
    assert f"{sandbox.folder}: cannot read it" in folder


def test_a_file_name_with_a_line_break_makes_one_line_too(sandbox: Sandbox) -> None:
    sandbox.refused("check", str(sandbox.folder / "no\nsuch"), status=2)


def test_a_wrong_topology_is_refused_with_its_line(sandbox: Sandbox) -> None:
    bad = sandbox.write("bad.yaml", "name: t\nhosts:\n  a: {port: 1, address: 10.0.0.2}\n")
    said = sandbox.refused("lab", "up", str(bad), status=2)
    assert said.startswith(f"p4alg: {bad}:3:25: '10.0.0.2' is not an address with a prefix length")


# Privileges


@needs_root
def test_nobody_is_told_what_needs_root(sandbox: Sandbox) -> None:
    config = sandbox.config()
    said = sandbox.refused("lab", "up", status=1, user=NOBODY)
    assert said == "p4alg: only root can make network namespaces: use sudo"
    said = sandbox.refused("lab", "up", "-c", str(config), status=1, user=NOBODY)
    assert said == "p4alg: only root can make network namespaces: use sudo"
    said = sandbox.refused("switch", "-i", "1@lo", "--grpc", "127.0.0.1:0", status=1, user=NOBODY)
    assert "run as root or give CAP_NET_RAW" in said


@needs_root
def test_nobody_can_neither_use_nor_remove_a_lab_of_root(sandbox: Sandbox) -> None:
    (sandbox.folder / "lab").mkdir()
    hosts = {"switch": f"{PREFIX}switch", "inside1": f"{PREFIX}inside1"}
    state = {"topology": "nat", "target": "embedded", "hosts": hosts, "processes": []}
    sandbox.write("lab/state.json", json.dumps(state))
    for command in (["down"], ["exec", "inside1", "--", "true"]):
        assert sandbox.refused("lab", *command, status=1, user=NOBODY).endswith(": use sudo")


@needs_root
def test_nobody_cannot_read_a_private_configuration(sandbox: Sandbox) -> None:
    config = sandbox.config()
    config.chmod(0o600)
    for command in (["check"], ["run", "-c"], ["lab", "up", "-c"]):
        said = sandbox.refused(*command, str(config), status=2, user=NOBODY)
        assert said == f"p4alg: {config}: cannot read it: Permission denied"


@needs_root
def test_nobody_cannot_use_the_controller_of_root(sandbox: Sandbox) -> None:
    with sandbox.controller():
        for command in (["show", "algs"], ["alg", "disable", "ftp"], ["trace"], ["shell"]):
            said = sandbox.refused(*command, status=1, user=NOBODY)
            assert said == f"p4alg: no permission to use {sandbox.socket}: use sudo"


@needs_root
def test_nobody_cannot_listen_where_only_root_may(sandbox: Sandbox) -> None:
    with sandbox.switch() as grpc:
        config = str(sandbox.config(grpc))
        said = sandbox.refused("run", "-c", config, status=1, user=NOBODY)
        assert f"cannot listen on {sandbox.socket}: Permission denied" in said
        assert TO_DO.search(said), said
        said = sandbox.refused(
            *("run", "-c", config), status=1, user=NOBODY, P4ALG_SOCKET="/nosuch/control.sock"
        )
        assert "/nosuch" in said
        assert TO_DO.search(said), said


# The switch


def test_a_grpc_address_in_use_is_named(sandbox: Sandbox) -> None:
    with sandbox.switch() as grpc:
        said = sandbox.refused("switch", "--grpc", grpc, status=1)
    assert f"cannot listen on {grpc}" in said
    assert "choose another with --grpc" in said


@pytest.mark.parametrize("address", ["203.0.113.77:9559", "nosuch.invalid:9559"])
def test_a_grpc_address_of_no_interface_is_named(sandbox: Sandbox, address: str) -> None:
    said = sandbox.refused("switch", "--grpc", address, status=1)
    assert f"cannot listen on {address}" in said
    assert "choose another with --grpc" in said


def test_an_interface_that_does_not_exist_is_named(sandbox: Sandbox) -> None:
    said = sandbox.refused("switch", "-i", "1@nosuch0", "--grpc", "127.0.0.1:0", status=1)
    assert "interface nosuch0 does not exist; see 'ip link'" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["-i", "nonsense"],
        ["-i", "1@"],
        ["-i", "511@lo"],
        ["-i", "510@lo"],
        ["-i", "1@a-name-that-is-too-long"],
        ["-i", "1@lo", "-i", "1@lo"],
        ["--grpc", "127.0.0.1"],
        ["--grpc", "127.0.0.1:99999"],
        ["--device-id", "0"],
        ["--device-id", "one"],
        ["--cpu-port", "511"],
        ["--p4info", str(OTHER_P4INFO)],
        ["--p4info", "/nosuch", "--json", str(OTHER_PROGRAM)],
        ["--p4info", str(OTHER_PROGRAM), "--json", str(OTHER_PROGRAM)],
    ],
)
def test_wrong_options_of_the_switch_are_usage_errors(
    sandbox: Sandbox, arguments: list[str]
) -> None:
    sandbox.refused("switch", *arguments, status=2)


def test_a_program_that_the_switch_cannot_load_is_refused(sandbox: Sandbox) -> None:
    for content in (b"", b"[]", b"{}", b"\xff", OTHER_PROGRAM.read_bytes()[:-100]):
        bad = sandbox.write("bad.json", content)
        options = ("--p4info", str(OTHER_P4INFO), "--json", str(bad), "--grpc", "127.0.0.1:0")
        sandbox.refused("switch", *options, status=1)


def test_a_switch_that_is_not_there_is_named(sandbox: Sandbox) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        grpc = f"127.0.0.1:{unused.getsockname()[1]}"
        said = sandbox.refused("run", "-c", str(sandbox.config(grpc)), status=1)
    assert said.startswith(f"p4alg: {grpc}: ")
    assert "start it or correct" in said


def test_a_switch_whose_name_is_unknown_is_named(sandbox: Sandbox) -> None:
    config = sandbox.config("nosuch.invalid:9559")
    said = sandbox.refused("run", "-c", str(config), status=1)
    assert said.startswith("p4alg: nosuch.invalid:9559: ")
    assert "start it or correct" in said


def test_a_switch_that_never_answers_is_given_up(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        grpc = f"127.0.0.1:{silent.getsockname()[1]}"
        said = sandbox.refused("run", "-c", str(sandbox.config(grpc)), status=1)
    assert said.startswith(f"p4alg: {grpc}: ")
    assert "start it or correct" in said


def test_a_switch_with_another_device_id_is_named(sandbox: Sandbox) -> None:
    with sandbox.switch("--device-id", "7") as grpc:
        said = sandbox.refused("run", "-c", str(sandbox.config(grpc)), status=1)
    assert said.startswith(f"p4alg: {grpc}: ")
    assert "device id" in said


def test_a_switch_that_runs_another_program_is_left_alone(sandbox: Sandbox) -> None:
    program = ("--p4info", str(OTHER_P4INFO), "--json", str(OTHER_PROGRAM))
    with sandbox.switch(*program) as grpc:
        for _ in range(2):
            said = sandbox.refused("run", "-c", str(sandbox.config(grpc)), status=1)
            assert said.startswith(f"p4alg: {grpc}: the switch runs another program")
            assert "restart it without a program" in said


# Artifacts


def installed(sandbox: Sandbox, switch: str) -> tuple[Path, Any]:
    """A copy of the package with artifacts of its own, as an installed one has them.

    Returns the folder of the artifacts, and a function that runs the copy and
    returns the line it says.
    """
    package = Path(sys.modules["p4alg"].__path__[0])
    copy = sandbox.folder / "site" / "p4alg"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "_data"))
    artifacts = copy / "_data" / "artifacts" / "v1model"
    shutil.copytree(shipped().program.parent, artifacts)
    config = str(sandbox.config(switch))

    def run() -> str:
        site = str(copy.parent)
        said = sandbox.refused("run", "-c", config, status=1, PYTHONPATH=site)
        assert sandbox.refused("check", config, status=1, PYTHONPATH=site) == said
        return said

    return artifacts, run


@pytest.mark.parametrize("name", ["p4alg.json", "p4alg.p4info.txtpb"])
def test_a_missing_artifact_is_named(sandbox: Sandbox, name: str) -> None:
    with sandbox.switch() as grpc:
        artifacts, run = installed(sandbox, grpc)
        (artifacts / name).unlink()
        assert f"{artifacts / name}: not found; reinstall p4alg or run make p4" in run()


@pytest.mark.parametrize("name", ["p4alg.json", "p4alg.p4info.txtpb"])
@pytest.mark.parametrize("how", ["empty", "cut", "binary"])
def test_a_damaged_artifact_is_named(sandbox: Sandbox, name: str, how: str) -> None:
    with sandbox.switch() as grpc:
        artifacts, run = installed(sandbox, grpc)
        whole = (artifacts / name).read_bytes()
        damaged = {"empty": b"", "cut": whole[: len(whole) // 2], "binary": bytes(range(256))}
        (artifacts / name).write_bytes(damaged[how])
        said = run()
    assert str(artifacts) in said
    assert TO_DO.search(said), said


def test_artifacts_that_the_manifest_does_not_describe_are_refused(sandbox: Sandbox) -> None:
    """A program and a P4Info that are whole, but not compiled together."""
    with sandbox.switch() as grpc:
        artifacts, run = installed(sandbox, grpc)
        program = artifacts / "p4alg.json"
        text = program.read_text(encoding="utf-8")
        assert '"max_size" : 8192' in text
        program.write_text(text.replace('"max_size" : 8192', '"max_size" : 16'), encoding="utf-8")
        said = run()
    assert "manifest" in said
    assert TO_DO.search(said), said


# Files in the way


def test_a_regular_file_in_place_of_the_socket_is_left_alone(sandbox: Sandbox) -> None:
    precious = sandbox.write("precious.txt", "not a socket\n")
    with sandbox.switch() as grpc:
        config = str(sandbox.config(grpc))
        said = sandbox.refused("run", "-c", config, status=1, P4ALG_SOCKET=str(precious))
    assert str(precious) in said
    assert TO_DO.search(said), said


def test_a_regular_file_in_place_of_the_socket_directory_is_named(sandbox: Sandbox) -> None:
    wrong = str(sandbox.write("file", "") / "control.sock")
    said = sandbox.refused("run", "-c", str(sandbox.config()), status=1, P4ALG_SOCKET=wrong)
    assert f"cannot listen on {wrong}" in said
    assert TO_DO.search(said), said


def test_a_directory_in_place_of_the_socket_is_named(sandbox: Sandbox) -> None:
    wrong = sandbox.folder / "folder"
    wrong.mkdir()
    said = sandbox.refused("run", "-c", str(sandbox.config()), status=1, P4ALG_SOCKET=str(wrong))
    assert str(wrong) in said
    assert TO_DO.search(said), said


def test_a_socket_path_that_is_too_long_is_named(sandbox: Sandbox) -> None:
    wrong = str(sandbox.folder / ("long" * 40))
    with sandbox.switch() as grpc:
        config = str(sandbox.config(grpc))
        said = sandbox.refused("run", "-c", config, status=1, P4ALG_SOCKET=wrong)
    assert wrong in said
    assert "None" not in said
    assert TO_DO.search(said), said


@pytest.mark.parametrize("wrong", ["file/control.sock", "long" * 40])
def test_a_switch_is_not_touched_when_the_socket_cannot_be_made(
    sandbox: Sandbox, wrong: str
) -> None:
    sandbox.write("file", "")
    path = str(sandbox.folder / wrong)
    with sandbox.switch() as grpc:
        config = str(sandbox.config(grpc))
        sandbox.refused("run", "-c", config, status=1, P4ALG_SOCKET=path)
        assert not asyncio.run(runs_a_program(grpc))


async def runs_a_program(grpc: str) -> bool:
    async with fy.Switch("probe", grpc, fy.SwitchOptions(device_id=1)) as switch:
        return bool(switch.p4info.exists)


JOURNALS = {
    "no JSON": "{",
    "a list": "[]",
    "nothing in it": "{}",
    "deep": "[" * 100_000,
    "binary": "\x00\x01",
}


@pytest.mark.parametrize("name", JOURNALS)
def test_a_damaged_journal_is_named_and_kept_and_the_gateway_runs(
    sandbox: Sandbox, name: str
) -> None:
    sandbox.state.mkdir()
    journal = sandbox.write("revisions/journal.jsonl", JOURNALS[name] + "\n")
    wanted = f"{journal}:1: this line is damaged: correct or remove it"
    with sandbox.controller():
        assert sandbox.refused("alg", "disable", "ftp", status=1) == f"p4alg: {wanted}"
        assert sandbox.refused("config", "history", status=1) == f"p4alg: {wanted}"
        assert f"the configuration is not kept: {wanted}" in sandbox.call("show", "events").stdout
    assert journal.read_text() == JOURNALS[name] + "\n"


def test_revisions_that_cannot_be_kept_are_told_and_nothing_changes(sandbox: Sandbox) -> None:
    """The directory is there when the controller starts, and a file later."""
    folder = sandbox.folder / "state"
    with sandbox.controller(P4ALG_STATE=str(folder)):
        shutil.rmtree(folder)
        folder.write_bytes(b"")
        said = sandbox.refused("alg", "disable", "ftp", status=1)
        assert str(folder) in said
        assert TO_DO.search(said), said
        assert "off" not in sandbox.call("alg", "services", "ftp").stdout
        folder.unlink()
        assert sandbox.call("alg", "disable", "ftp").returncode == 0
        assert "alg disable ftp" in sandbox.call("config", "history").stdout


# Commands to a controller

COMMANDS = [
    ["show", "algs"],
    ["show", "switch", "--json"],
    ["alg", "list"],
    ["alg", "enable", "ftp"],
    ["alg", "disable", "ftp"],
    ["alg", "services", "ftp"],
    ["alg", "reset", "ftp"],
    ["config", "show"],
    ["config", "set", "refuse", "pass"],
    ["config", "check"],
    ["config", "commit"],
    ["config", "reload"],
    ["alg", "services", "ftp", "ftp"],
    ["trace"],
    ["trace", "--json"],
    ["shell"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_a_controller_commands_say_how_to_start_one(
    sandbox: Sandbox, command: list[str]
) -> None:
    nothing = f"p4alg: no controller at {sandbox.socket}: start one with 'p4alg run -c CONFIG'"
    assert sandbox.refused(*command, status=1) == nothing


def test_a_socket_that_a_crash_left_is_no_controller(sandbox: Sandbox) -> None:
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(sandbox.socket))
    assert "start one with" in sandbox.refused("show", "algs", status=1)
    other = sandbox.write("file", "")
    said = sandbox.refused("show", "algs", "--socket", str(other), status=1)
    assert f"no controller at {other}" in said
    sandbox.socket.unlink()


def test_a_controller_refuses_what_it_does_not_know_and_goes_on(sandbox: Sandbox) -> None:
    with sandbox.controller():
        said = sandbox.refused("alg", "enable", "nosuch", status=2)
        assert said == f"p4alg: no ALG 'nosuch' (known: {', '.join(algs())})"
        said = sandbox.refused("alg", "services", "nosuch", status=2)
        assert said == f"p4alg: no ALG 'nosuch' (known: {', '.join(algs())})"
        said = sandbox.refused("alg", "services", "ftp", "nosuch", status=2)
        assert said == f"p4alg: no service 'nosuch' (known: {', '.join(algs())}, ftp-alt)"
        sandbox.refused("alg", "enable", "a\nb", status=2)
        sandbox.refused("show", "nosuch", status=2)
        many = [f"service-{n}" for n in range(10_000)]
        sandbox.refused("alg", "services", "ftp", *many, status=2)
        assert sandbox.call("alg", "list").returncode == 0


def test_a_second_controller_is_refused(sandbox: Sandbox) -> None:
    with sandbox.controller():
        config = str(sandbox.folder / "nat.config.yaml")
        said = sandbox.refused("run", "-c", config, status=1)
        assert said == f"p4alg: another controller serves {sandbox.socket}: stop it first"
        elsewhere = str(sandbox.folder / "other.sock")
        said = sandbox.refused("run", "-c", config, status=1, P4ALG_SOCKET=elsewhere)
        assert "another controller is primary; stop it first" in said


def test_one_trace_too_many_is_refused(sandbox: Sandbox) -> None:
    with sandbox.controller():
        clients = [socket.socket(socket.AF_UNIX) for _ in range(server.MAX_CLIENTS)]
        try:
            for client in clients:
                client.connect(str(sandbox.socket))
                # An answer tells that the controller has taken the client in.
                client.sendall(b'{"command":"where"}\n')
                assert client.recv(4096)
            for command in (["show", "algs"], ["trace"]):
                said = sandbox.refused(*command, status=1)
                assert said == "p4alg: too many clients: try again later"
        finally:
            for client in clients:
                client.close()
        wait_until("room again", lambda: sandbox.call("show", "algs").returncode == 0)


def test_a_trace_ends_in_one_line_at_most_when_the_controller_is_killed(sandbox: Sandbox) -> None:
    with sandbox.switch() as grpc:
        command = [sys.executable, "-m", "p4alg"]
        config = str(sandbox.config(grpc))
        options: dict[str, Any] = {"env": sandbox.environment, "cwd": "/", "text": True}
        controller = subprocess.Popen([*command, "run", "-c", config], stdout=-3, **options)
        try:
            wait_until("the controller", sandbox.socket.exists, SECONDS)
            trace = subprocess.Popen([*command, "trace"], stdout=-1, stderr=-1, **options)
            try:
                wait_until("the trace", lambda: connections(sandbox.socket) > 0, SECONDS)
                controller.send_signal(signal.SIGKILL)
                out, err = trace.communicate(timeout=SECONDS)
            finally:
                trace.kill()
        finally:
            controller.kill()
            controller.wait(SECONDS)
        assert out == ""
        assert "Traceback" not in err
        assert len(err.splitlines()) <= 1
        sandbox.socket.unlink()


def connections(path: Path) -> int:
    """Connections accepted on a Unix socket: what is bound to its path beside the listener."""
    lines = Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()
    return sum(1 for line in lines if line.endswith(f" {path}")) - 1


def test_shell_says_what_it_needs(sandbox: Sandbox) -> None:
    with sandbox.controller():
        missing = str(sandbox.folder / "nosuch")
        said = sandbox.refused("shell", status=1, P4ALG_SHELL_PYTHON=missing)
        assert said.startswith("p4alg: p4runtime-shell is not set up: run 'make setup'")
        text = str(sandbox.write("python", "not a program\n"))
        said = sandbox.refused("shell", status=1, P4ALG_SHELL_PYTHON=text)
        assert TO_DO.search(said), said


# Labs


def test_without_a_lab_its_commands_say_how_to_build_one(sandbox: Sandbox) -> None:
    for command in (["status"], ["status", "--json"], ["logs"], ["exec", "inside1", "--", "true"]):
        said = sandbox.refused("lab", *command, status=1)
        assert said == "p4alg: no lab is up: run 'p4alg lab up'"


LAB_STATES = {
    "empty": "",
    "no JSON": "{",
    "a list": "[]",
    "empty object": "{}",
    "deep": "[" * 100_000,
}


@pytest.mark.lab
@needs_namespaces
@pytest.mark.parametrize("name", LAB_STATES)
def test_a_damaged_lab_state_is_named(sandbox: Sandbox, name: str) -> None:
    (sandbox.folder / "lab").mkdir()
    damaged = sandbox.write("lab/state.json", LAB_STATES[name])
    for command in (["up"], ["status"], ["logs"], ["down"], ["exec", "inside1", "--", "true"]):
        said = sandbox.refused("lab", *command, status=1)
        assert said == f"p4alg: {damaged} is damaged: remove it and the namespaces by hand"


def test_logs_that_are_gone_are_no_crash(sandbox: Sandbox) -> None:
    (sandbox.folder / "lab").mkdir()
    ended = {"name": "switch", "pid": 2**22 + 1, "start": 1}
    state = {"topology": "nat", "target": "embedded", "hosts": {}, "processes": [ended]}
    sandbox.write("lab/state.json", json.dumps(state))
    done = sandbox.call("lab", "logs")
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1


@pytest.mark.lab
@needs_namespaces
def test_a_lab_directory_that_is_a_file_is_named(sandbox: Sandbox) -> None:
    wrong = sandbox.write("lab", "")
    for command in (["up"], ["status"], ["down"]):
        said = sandbox.refused("lab", *command, status=1)
        assert str(wrong) in said
        assert TO_DO.search(said), said


@pytest.mark.lab
@needs_namespaces
def test_a_namespace_that_is_someone_elses_is_left_alone(sandbox: Sandbox) -> None:
    space = f"{PREFIX}inside1"
    subprocess.run(["ip", "netns", "add", space], check=True)
    try:
        said = sandbox.refused("lab", "up", status=1)
        assert said == f"p4alg: namespace {space} exists and is not this lab's: remove it first"
    finally:
        subprocess.run(["ip", "netns", "del", space], check=True)


@pytest.mark.lab
@needs_namespaces
def test_a_lab_whose_controller_cannot_start_is_undone(sandbox: Sandbox) -> None:
    # More pools than the switch's table of them takes, which only the controller knows.
    more = ", ".join(["203.0.113.0/28", *(f"192.0.2.{n}/32" for n in range(1, 66))])
    config = sandbox.write("many.yaml", EXAMPLE.replace("203.0.113.0/28", more))
    said = sandbox.refused("lab", "up", "-c", str(config), status=1)
    assert said.startswith("p4alg: the controller ended: the configuration ")


@pytest.mark.lab
@needs_namespaces
def test_a_missing_program_is_named_with_its_package(sandbox: Sandbox) -> None:
    empty = sandbox.folder / "bin"
    empty.mkdir()
    said = sandbox.refused("lab", "up", status=1, PATH=str(empty))
    assert said == "p4alg: 'ip' is not on PATH: install iproute2"
    for program in ("ip", "ethtool"):
        found = shutil.which(program)
        assert found is not None
        (empty / program).symlink_to(found)
    said = sandbox.refused("lab", "up", "--target", "bmv2", status=1, PATH=str(empty))
    assert said == "p4alg: 'simple_switch_grpc' is not on PATH: install behavioral-model"


@pytest.mark.parametrize(
    "command",
    [
        ["up", "nosuch"],
        ["up", "--target", "tofino"],
        ["up", "/nosuch/topology.yaml"],
        ["exec"],
        ["nosuch"],
        [],
    ],
    ids=" ".join,
)
def test_wrong_usage_of_lab(sandbox: Sandbox, command: list[str]) -> None:
    sandbox.refused("lab", *command, status=2)
