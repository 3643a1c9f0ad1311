#!/usr/bin/env python3
"""Run the PTF tests against a switch, in a network namespace of their own.

Builds one namespace with a veth pair per port, starts the target in it, runs
ptf there and removes everything. Knows nothing of the P4 program.
Exit code: ptf's; 1 when the target does not start; 2 on wrong usage.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from program import CPU_PORT

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PREFIX = "p4algptf-"
PORTS = (1, 2)
GRPC = "127.0.0.1:9559"
START_SECONDS = 30.0
OFFLOADS = ("tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off")


def _do(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def remove_leftovers() -> None:
    """Remove the namespaces of runs whose process (named in them) is gone."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        name = line.split()[0]
        owner = name.removeprefix(PREFIX)
        if name == owner or not owner.isdigit() or Path(f"/proc/{owner}").exists():
            continue
        # Its processes are that run's: nobody else starts any in this namespace.
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
        for pid in pids.stdout.split():
            subprocess.run(["kill", "-9", pid], check=False)
        _do("ip", "netns", "del", name)


def build(space: str) -> None:
    """Make the namespace and its wires: `sw<n>` for the switch, `ptf<n>` for ptf."""
    _do("ip", "netns", "add", space)
    inside = ("ip", "netns", "exec", space)
    _do(*inside, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    _do(*inside, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    _do("ip", "-n", space, "link", "set", "lo", "up")
    for n in PORTS:
        a, b = f"sw{n}", f"ptf{n}"
        _do("ip", "-n", space, "link", "add", a, "type", "veth", "peer", "name", b)
        for end in (a, b):
            _do(*inside, "ethtool", "-K", end, *OFFLOADS)
            _do(*inside, "sysctl", "-qw", f"net.ipv4.conf.{end}.arp_ignore=8")
            _do("ip", "-n", space, "link", "set", end, "up")


def target_command(target: str, python: str, workers: int) -> list[str]:
    """The command of the switch."""
    ports = [word for n in PORTS for word in ("-i", f"{n}@sw{n}")]
    if target == "embedded":
        served = ["--grpc", GRPC, "--device-id", "1", "--cpu-port", str(CPU_PORT)]
        return [python, "-m", "p4softswitch", *ports, *served, "--workers", str(workers)]
    served = ["--", "--grpc-server-addr", GRPC, "--cpu-port", str(CPU_PORT)]
    return ["simple_switch_grpc", "--no-p4", "--device-id", "1", *ports, *served]


def wait_until_served(space: str, switch: subprocess.Popen[bytes]) -> bool:
    """Whether the switch listens before `START_SECONDS` are over."""
    port = f":{int(GRPC.rsplit(':', 1)[1]):04X} "
    command = ["ip", "netns", "exec", space, "cat", "/proc/net/tcp", "/proc/net/tcp6"]
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and switch.poll() is None:
        sockets = subprocess.run(command, capture_output=True, text=True).stdout
        if any(port in line and " 0A " in line for line in sockets.splitlines()):
            return True
        time.sleep(0.2)
    return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours, by force if it does not listen."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run_ptf(space: str, target: str, tests: list[str]) -> int:
    """Run ptf in the namespace; its exit code. Tests are told the target's name."""
    ports = [word for n in PORTS for word in ("-i", f"{n}@ptf{n}")]
    ptf = shutil.which("ptf", path=str(Path(sys.executable).parent)) or "ptf"
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    artifacts = ROOT / "p4src" / "artifacts" / "v1model"
    parameters = f"grpc='{GRPC}';artifacts='{artifacts}';target='{target}'"
    command = ["ip", "netns", "exec", space, sys.executable, ptf]
    command += ["--test-dir", str(HERE), *ports, "--test-params", parameters]
    command += ["--log-file", str(out / "ptf.log"), *tests]
    return subprocess.run(
        command,
        cwd=out,
        check=False,
    ).returncode


def main() -> int:
    """Parse the command line, run, clean up."""
    parser = argparse.ArgumentParser(description="PTF tests of the P4 program")
    parser.add_argument("--target", choices=("embedded", "bmv2"), default="embedded")
    default = os.environ.get("P4ALG_PYTHON", str(ROOT / ".venv" / "bin" / "python"))
    parser.add_argument("--switch-python", default=default, help="runs the embedded switch")
    parser.add_argument("--workers", type=int, default=1, help="threads of the embedded switch")
    parser.add_argument("tests", nargs="*", help="ptf test names (default: all)")
    args = parser.parse_args()
    command = target_command(args.target, args.switch_python, args.workers)
    if shutil.which(command[0]) is None:
        if args.target == "bmv2":
            print("skipped: simple_switch_grpc is not on PATH")
            return 0
        print(f"error: {command[0]} not found (see --switch-python)", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("error: network namespaces need root", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    remove_leftovers()
    space, switch = f"{PREFIX}{os.getpid()}", None
    try:
        build(space)
        out = HERE / "out"
        out.mkdir(exist_ok=True)
        with (out / f"{args.target}.log").open("wb") as log:
            switch = subprocess.Popen(
                ["ip", "netns", "exec", space, *command], stdout=log, stderr=log
            )
        if not wait_until_served(space, switch):
            print(f"error: the switch did not start, see {log.name}", file=sys.stderr)
            return 1
        return run_ptf(space, args.target, args.tests)
    except subprocess.CalledProcessError as error:
        print(f"error: {' '.join(error.cmd)} failed", file=sys.stderr)
        return 1
    finally:
        if switch is not None:
            stop(switch)
        subprocess.run(["ip", "netns", "del", space], check=False, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
