"""Somebody else's ALG, in a distribution of its own: installed, configured, used, shown.

It is built and installed by pip into a folder of its own, which the commands then have on
their path as any other installed distribution; nothing of p4alg names it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4alg.lab import runner
from tests.integration.conftest import CONFIG, Lab, up

DISTRIBUTION = Path(__file__).resolve().parents[1] / "distributions" / "p4alg-rendezvous"
PEER = DISTRIBUTION.parent / "rendezvous_peer.py"
LEFT_OUT = (
    "ALG 'broken' of p4alg-rendezvous is left out: RuntimeError: made for another version; "
    "correct or remove that distribution"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the distribution is installed."""
    target = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*install, *offline, "--target", target, DISTRIBUTION], check=True)
    return target


def p4alg(installed: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user of that installation would."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "p4alg", *args]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def configuration(folder: Path, algs: str) -> Path:
    """The configuration of the lab with other ALG settings."""
    head, _, _ = CONFIG.read_text().partition("\nalgs:")
    path = folder / "gateway.yaml"
    path.write_text(f"{head}\nalgs:\n{algs}")
    return path


def test_it_is_configured_like_any_other(installed: Path, tmp_path: Path) -> None:
    good = configuration(tmp_path, "  rendezvous: {enabled: true, seconds: 5}\n")
    checked = p4alg(installed, "check", str(good))
    assert checked.returncode == 0, checked.stderr
    assert "ALGs on: ftp, sip, tftp, pptp, ike, rendezvous" in checked.stdout
    assert checked.stderr == f"p4alg: {LEFT_OUT}\n"


@pytest.mark.parametrize(
    ("algs", "said"),
    [
        ("  rendezvous: {seconds: 601}\n", "601 is not in 1..600"),
        ("  rendezvous: {seconds: soon}\n", "expected a whole number"),
        ("  rendezvous: {second: 5}\n", "unknown key 'second' (known: "),
        ("  broken: {enabled: true}\n", "unknown key 'broken' (known: "),
    ],
)
def test_wrong_options_are_refused_by_file_and_line(
    installed: Path, tmp_path: Path, algs: str, said: str
) -> None:
    wrong = configuration(tmp_path, algs)
    checked = p4alg(installed, "check", str(wrong))
    assert checked.returncode == 2
    last = checked.stderr.splitlines()[-1]
    assert last.startswith(f"p4alg: {wrong}:")
    assert said in last


@pytest.fixture(scope="module")
def lab(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab on the embedded switch, with a controller that finds the distribution."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make network namespaces")
    config = configuration(tmp_path_factory.mktemp("config"), "  rendezvous: {enabled: true}\n")
    with up("embedded") as made, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(installed))
        runner.stop(runner.CONTROLLER)
        runner.start_controller(config)
        server = made.background("outside1", sys.executable, str(PEER), "server")
        try:
            yield made
        finally:
            server.kill()
            server.wait()


def meet(lab: Lab, port: int) -> int:
    """Let an inside client be called back; its exit status."""
    command = [sys.executable, str(PEER), "client", "198.51.100.11", str(port)]
    return lab.background("inside1", *command).wait(30)


@pytest.mark.lab
def test_it_opens_what_its_protocol_needs(lab: Lab, installed: Path) -> None:
    assert meet(lab, 40000) == 0
    assert lab.counter("alg.rendezvous.pinholes.used") == 1
    assert lab.counter("alg.rendezvous.client.rewritten") == 1
    (row,) = lab.show("meetings")
    assert row["client"] == "10.0.0.11:40000"
    assert row["visible"].startswith("203.0.113.")


@pytest.mark.lab
def test_it_is_shown_and_switched_like_any_other(lab: Lab, installed: Path) -> None:
    socket = str(runner.control_socket())
    shown = p4alg(installed, "show", "meetings", "--socket", socket)
    assert shown.stdout.splitlines()[0].split() == ["CLIENT", "VISIBLE"]
    rows = json.loads(p4alg(installed, "show", "algs", "--json", "--socket", socket).stdout)
    assert "rendezvous" in [row["name"] for row in rows]
    events = json.loads(p4alg(installed, "show", "events", "--json", "--socket", socket).stdout)
    assert [e["text"] for e in events if "is left out" in e["text"]] == [LEFT_OUT]
    assert p4alg(installed, "alg", "disable", "rendezvous", "--socket", socket).returncode == 0
    assert meet(lab, 40001) == 1
    assert p4alg(installed, "alg", "enable", "rendezvous", "--socket", socket).returncode == 0
    assert meet(lab, 40002) == 0
    # What commands changed is as it was for whoever comes next.
    runner.stop(runner.CONTROLLER)
