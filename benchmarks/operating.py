"""What an operator waits for, and what it costs the control path that somebody looks.

The embedded switch with the large program holds some 100 000 plain flows. How long `p4alg show`
takes is that of the whole command. What console and Prometheus cost is the rate of FTP transfers
with and without them, by turns, since the machine is not the same from one minute to the next.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import measure
from p4alg.config.errors import UserError
from p4alg.lab import names, plan, runner, topology

FLOWS = 100_000
"""Plain flows that are begun; a few find no cell."""
TIMES = 3
"""How often each command is run; the median counts."""
ROUNDS = 5
TRANSFERS = 300
_SCRAPED_SECONDS = 1.0
"""Prometheus asks every 15 seconds by default."""
_SCRAPER = f"""
import sys, time, urllib.request
while True:
    urllib.request.urlopen(sys.argv[1], timeout=5).read()
    time.sleep({_SCRAPED_SECONDS})
"""
_PASSWORD = "correct horse battery"
VIEWS = {
    "show sessions": (),
    "show sessions --count": ("--count",),
    "show sessions --json": ("--json",),
    "show sessions --inside HOST:PORT": ("--inside", "10.0.0.64:1027"),
    "show sessions --remote ADDRESS": ("--remote", "198.51.100.99"),
}
"""What is timed: name and options."""


def report(checkout: measure.Checkout) -> list[str]:
    """Measure, and tell it in lines."""
    listen = f"127.0.0.1:{_free_port()}"
    text = measure.large_config(checkout) + f"control: {{metrics: {listen}}}\n"
    runner.sweep()
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
            config.write(text)
            config.flush()
            topo = topology.read(topology.find("nat"))
            runner.up(topo, "embedded", Path(config.name), checkout.python)
        watchers: dict[str, Callable[[], AbstractContextManager[None]]] = {
            "the console": lambda: _console(checkout),
            "Prometheus, every second": lambda: _scraped(f"http://{listen}/metrics"),
        }
        costs = [_cost(name, watch) for name, watch in watchers.items()]
        print(f"  embedded: views of {FLOWS} flows ...", file=sys.stderr, flush=True)
        measure.serve("rx-count", measure.COUNT_PORT)
        measure.begin_flows(FLOWS)
        return [*_views(checkout), *costs]
    finally:
        runner.sweep()


def _views(checkout: measure.Checkout) -> list[str]:
    lines = []
    for name, options in VIEWS.items():
        command = [checkout.python, "-m", "p4alg", "show", "sessions", *options]
        taken, rows = [], 0
        for _ in range(TIMES):
            # What was read a second ago is told again.
            time.sleep(1.2)
            begin = time.monotonic()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            taken.append(time.monotonic() - begin)
            if done.returncode:
                raise UserError(f"{name}: {done.stderr.strip()}")
            rows = len(done.stdout.splitlines())
        lines.append(f"embedded, p4alg {name}: {statistics.median(taken):.2f} s, {rows} lines")
    return lines


def _cost(name: str, watch: Callable[[], AbstractContextManager[None]]) -> str:
    """What is left of the rate of transfers while somebody looks."""
    print(f"  embedded: {name} ...", file=sys.stderr, flush=True)
    measure.serve("ftp-server", 21)
    _rate()
    ratios = []
    for number in range(ROUNDS):
        # The first of two is the other one each time.
        rates: dict[bool, float] = {}
        for watched in (number % 2 == 0, number % 2 == 1):
            if watched:
                with watch():
                    rates[watched] = _rate()
            else:
                rates[watched] = _rate()
        ratios.append(rates[True] / rates[False])
    told = ", ".join(f"{ratio:.3f}" for ratio in sorted(ratios))
    return (
        f"embedded, FTP transfers a second with {name}: {statistics.median(ratios):.3f} of "
        f"those without (median of {told})"
    )


def _rate() -> float:
    found = measure.traffic("inside1", "ftp-dialogue", measure.SERVER, 21, TRANSFERS)
    return float(found["connections_per_second"])


@contextmanager
def _console(checkout: measure.Checkout) -> Iterator[None]:
    """A console that watches the gateway."""
    command = [checkout.python, "-m", "p4alg", "console"]
    control = runner.control_socket()
    with tempfile.TemporaryDirectory() as state:
        user = ["user", "add", "bench", "--role", "admin", "--state", state]
        twice = f"{_PASSWORD}\n{_PASSWORD}\n"
        subprocess.run([*command, *user], input=twice, text=True, check=True, capture_output=True)
        port = _free_port()
        serving = [*command, "--listen", f"127.0.0.1:{port}", "--state", state]
        with subprocess.Popen(
            [*serving, "--device", f"bench={control}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as console:
            try:
                _wait_for(port)
                yield
            finally:
                console.terminate()


@contextmanager
def _scraped(url: str) -> Iterator[None]:
    """Somebody who asks for the metrics, where the controller is."""
    space = runner.current().hosts[names.SWITCH]
    with subprocess.Popen(plan.inside(space, sys.executable, "-c", _SCRAPER, url)) as asking:
        try:
            yield
            if asking.poll() is not None:
                raise UserError("the controller does not tell its metrics")
        finally:
            asking.terminate()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise UserError("the console does not start: is p4alg[console] installed?")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
