"""What is found out of files and sockets."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from distribution.deb import FILES
from p4alg.doctor import gateway
from p4alg.doctor.facts import Interface
from p4alg.doctor.gateway import Wire, of_file, of_ports, service_wires, wires
from tests.unit.daemon.peers import served


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("P4ALG_SOCKET", "P4ALG_STATE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    text = (FILES / "p4alg.yaml").read_text(encoding="utf-8")
    assert "/run/p4alg/" in text
    text = text.replace("/run/p4alg/", f"{tmp_path}/")
    path.write_text(text.replace("/var/lib/p4alg/", f"{tmp_path}/below/"), encoding="utf-8")
    return path


def test_ports_are_read_from_the_arguments_of_a_switch() -> None:
    words = [
        "p4softswitch",
        *("-i", "1@eth1"),
        *("--grpc", "h:1"),
        *("--interface", "2@eth2"),
        *("-i", "3@file:a,b"),
        "-i",
    ]
    assert wires(words) == (Wire(1, "eth1"), Wire(2, "eth2"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('# -i 9@eth9\nP4ALG_SWITCH_OPTIONS="-i 1@eth1 -i 2@eth2"\n', (1, 2)),
        ("P4ALG_SWITCH_OPTIONS='-i 1@eth1'\n", (1,)),
        ("OTHER=x\n", ()),
        ('P4ALG_SWITCH_OPTIONS="-i 1@eth1\n', None),
        (None, None),
    ],
)
def test_ports_of_the_service_are_read_from_its_options(
    text: str | None, expected: tuple[int, ...] | None, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "p4alg-switch").write_text(text)
    found = service_wires(tmp_path / "p4alg-switch")
    assert (found if found is None else tuple(wire.port for wire in found)) == expected


@pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip")
def test_interfaces_are_asked_for_what_they_are() -> None:
    loop, absent = of_ports((Wire(1, "lo"), Wire(2, "p4alg-no"))).interfaces or ()
    assert (loop.name, loop.exists, loop.up) == ("lo", True, True)
    assert "127.0.0.1/8" in loop.addresses
    assert absent == Interface(2, "p4alg-no", exists=False)


def test_a_gateway_that_is_not_there_is_told_as_such(config: Path) -> None:
    found = of_file(config, None)
    assert (found.config, found.error, found.interfaces) == (str(config), "", None)
    assert found.ports == frozenset({1, 2})
    assert found.link is not None
    assert "No such file" in found.link.error
    assert found.socket is not None
    assert found.socket.state == "absent"
    assert found.space is not None
    # Where the folder of the state file will be made.
    assert found.space.path == str(config.parent)
    assert found.space.bytes_free > 0
    assert found.space.writable


def test_a_file_that_is_no_configuration_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("zones: 5\n")
    found = of_file(path, None)
    assert found.error.startswith(f"{path}:1:")
    assert (found.ports, found.space) == (frozenset(), None)


def state_of(path: Path) -> str:
    return gateway._socket(path).state


def test_what_is_at_the_place_of_the_control_socket(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    assert state_of(path) == "absent"
    path.write_text("")
    assert state_of(path) == "file"
    path.unlink()
    with served(path):
        found = gateway._socket(path)
        assert (found.state, found.mode) == ("answers", 0o600)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        assert state_of(path) == "stale"
        os.chmod(path, 0o666)
        assert gateway._socket(path).mode == 0o666
