"""What the integration tests share: a lab with a controller, on each target that is here."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from p4alg.config.errors import UserError
from p4alg.daemon.client import Client
from p4alg.lab import plan, runner, topology

CONFIG = Path(__file__).resolve().parents[2] / "topologies" / "nat.config.yaml"


PREFIX = f"p4algg{os.getpid()}-"
"""Of the namespaces of this run, which its process id tells from those of another."""
_OURS = re.compile(r"(?:p4alg[bgt]|ssw-[a-z0-9-]+-)(\d+)(?:-.*)?")


@pytest.fixture(scope="session", autouse=True)
def no_leftovers() -> None:
    """Remove the namespaces of runs that were killed, and what still runs in them."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    for name in (line.split()[0] for line in listed.stdout.splitlines() if line.strip()):
        found = _OURS.fullmatch(name)
        if found is None or Path(f"/proc/{found[1]}").exists():
            continue
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
        for pid in pids.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the lab tells to the report of a test that failed in it."""
    report = yield
    labs = [lab for lab in getattr(item, "funcargs", {}).values() if isinstance(lab, Lab)]
    if report.when == "call" and report.failed and labs:
        with suppress(UserError):
            report.sections.append(("the lab", labs[0].told()))
    return report


LAST_LINES = 30
"""The most lines of a log that are shown with a failure."""


class Lab:
    """A lab that is up, with a controller."""

    def __init__(self) -> None:
        socket = runner.control_socket()
        assert socket is not None
        self.client = Client(socket)

    def show(self, what: str) -> Any:
        """A view of the controller's."""
        return self.client.call("show", what=what)

    def counter(self, name: str) -> int:
        """One counter; 0 if there is none of that name yet."""
        return int(self.show("counters").get(name, 0))

    def told(self) -> str:
        """What its processes have written last, and its counters: for whoever reads a failure."""
        shown = []
        for name, text in runner.logs().items():
            shown += [f"{name}: {line}" for line in text.splitlines()[-LAST_LINES:]]
        with suppress(UserError):
            shown += [f"{name}: {count}" for name, count in self.show("counters").items()]
        return "\n".join(shown)

    def background(self, host: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a command in a host."""
        space = runner.current().hosts[host]
        return subprocess.Popen(
            plan.inside(space, *command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


BMV2 = pytest.param(
    "bmv2",
    marks=[
        pytest.mark.bmv2,
        pytest.mark.skipif(
            shutil.which("simple_switch_grpc") is None,
            reason="needs simple_switch_grpc on PATH",
        ),
    ],
)


NEEDS_MININET = pytest.mark.skipif(
    importlib.util.find_spec("mininet") is None or shutil.which("mnexec") is None,
    reason="needs Mininet (make setup)",
)

MININET = pytest.param("mininet", marks=[NEEDS_MININET, pytest.mark.slow])
"""The lab in Mininet, on the embedded switch: every scenario once more, where that is asked for."""


FEWER = "embedded without idle-timeouts,registers"
"""The embedded switch with as little of P4Runtime as a switch with Stratum may have."""

SLOW_FEWER = pytest.param(FEWER, marks=pytest.mark.slow)
"""Every scenario once more on that, where it is asked for."""


def reads_registers(target: str) -> bool:
    """Whether the switch of a target lets registers be read."""
    return target != "bmv2" and "registers" not in target


def bring_up(lab: topology.Topology, target: str, config: Path) -> None:
    """Build a lab of namespaces; `target` may say what the embedded switch does ``without``."""
    kind, _, without = target.partition(" without ")
    runner.up(lab, kind, config, options=runner.Options(without=without))


@contextmanager
def up(target: str, config: Path = CONFIG, name: str = "nat") -> Iterator[Lab]:
    """A lab with its controller, while in the context.

    `target` is one of `plan.TARGETS`, or ``mininet`` for the embedded switch in Mininet, or as for
    `bring_up`.
    """
    patch = pytest.MonkeyPatch()
    patch.setenv("P4ALG_LAB_STATE", f"/run/p4alg/test-{os.getpid()}")
    patch.setenv("P4ALG_LAB_PREFIX", PREFIX)
    patch.delenv("P4ALG_SOCKET", raising=False)
    lab = topology.read(topology.find(name))
    runner.sweep()
    try:
        if target == "mininet":
            # Not every machine has it.
            from p4alg.mininet import LabNet

            net = LabNet(lab, configs={"switch": config}, servers=False)
            net.start()
            try:
                yield Lab()
            finally:
                net.stop()
        else:
            bring_up(lab, target, config)
            yield Lab()
    finally:
        runner.sweep()
        patch.undo()


@pytest.fixture(scope="module", params=["embedded", BMV2, MININET, SLOW_FEWER])
def nat_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The lab, brought up for a module's tests and removed after them."""
    with up(request.param) as lab:
        yield lab
