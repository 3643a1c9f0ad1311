"""`p4alg console`: users, where it listens, and what it says when that cannot be."""

from __future__ import annotations

import io
import json
import select
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from p4alg.cli import main
from tests.certificates import authority, signed
from tests.unit.cli.conftest import Command

PASSWORD = "correct horse battery\n"
SECONDS = 20.0


@pytest.fixture
def state(tmp_path: Path) -> str:
    return str(tmp_path / "console")


def add(monkeypatch: pytest.MonkeyPatch, state: str, name: str = "ada") -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(PASSWORD))
    return main(["console", "user", "add", name, "--role", "admin", "--state", state])


def test_users_are_added_listed_and_removed(
    monkeypatch: pytest.MonkeyPatch, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["console", "user", "list", "--state", state]) == 0
    assert add(monkeypatch, state) == 0
    # The option may stand in front too, or come from the environment.
    assert main(["console", "--state", state, "user", "list"]) == 0
    monkeypatch.setenv("P4ALG_CONSOLE_STATE", state)
    assert main(["console", "user", "remove", "ada"]) == 0
    assert main(["console", "user", "list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "no users",
        "ada may log in as admin",
        "ada  admin",
        "ada may not log in any more",
        "no users",
    ]


def test_the_document_of_the_API_is_printed(command: Command) -> None:
    assert "/api/devices" in json.loads(command("console", "openapi"))["paths"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 1, "nobody may log in: run 'p4alg console user add NAME --role admin' first"),
        (["--listen", "8470"], 2, "'8470' is not ADDRESS:PORT"),
        (["--listen", "127.0.0.1:99999"], 2, "is not ADDRESS:PORT"),
        (["--listen", "0.0.0.0:8470"], 2, "give --tls-cert and --tls-key"),
        (["--listen", "[::]:8470"], 2, "give --tls-cert and --tls-key"),
        (["--listen", "localhost:8470"], 2, "is not an address of this machine"),
        (["--device", "x"], 2, "'x' is not NAME=SOCKET"),
        (["--device", "<b>=x"], 2, "is not NAME=SOCKET"),
        (["--device", "a=x", "--device", "a=y"], 2, "two devices are called 'a'"),
        (["--name", "a/b"], 2, "is not the name of a host"),
        (["--tls-cert", "x"], 2, "--tls-cert and --tls-key belong together"),
        (["user", "add", "ada"], 2, "--role"),
        (["user", "remove", "ada"], 2, "no user 'ada'"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    state: str, capsys: pytest.CaptureFixture[str], words: list[str], status: int, said: str
) -> None:
    assert main(["console", "--state", state, *words]) == status
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1


def test_a_port_that_is_taken_and_files_that_are_none_are_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    add(monkeypatch, state)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["console", "--state", state, "--listen", where]) == 1
        assert "give another --listen" in capsys.readouterr().err
    tls = ["--tls-cert", "/nosuch.pem", "--tls-key", "/nosuch.key"]
    assert main(["console", "--state", state, *tls]) == 1
    assert "cannot use /nosuch.pem" in capsys.readouterr().err


def test_without_its_packages_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError('x', name='fastapi')\n")
    result = subprocess.run(
        [sys.executable, "-m", "p4alg", "console"],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == (
        "p4alg: the console needs the Python package fastapi: pip install 'p4alg[console]'\n"
    )


@contextmanager
def running(state: str, *words: str) -> Iterator[str]:
    """The command, while in the context. Gives the URL, and ends it by SIGTERM."""
    command = [sys.executable, "-m", "p4alg", "console", "--listen", "127.0.0.1:0", *words]
    process = subprocess.Popen(
        [*command, "--state", state], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], SECONDS)[0]
        yield process.stdout.readline().split()[-1]
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=SECONDS)
        assert (process.returncode, out, err) == (0, "p4alg: console stopped\n", "")
    finally:
        process.kill()
        process.communicate()


def test_it_serves_by_TLS_until_a_signal(
    monkeypatch: pytest.MonkeyPatch, state: str, tmp_path: Path
) -> None:
    add(monkeypatch, state)
    trusted = authority(tmp_path, "authority")
    own = signed(tmp_path, "console", trusted)
    tls = ("--tls-cert", str(own.cert), "--tls-key", str(own.key))
    context = ssl.create_default_context(cafile=str(trusted.cert))
    with running(state, *tls) as url:
        assert url.startswith("https://127.0.0.1:")
        login = urllib.request.Request(
            f"{url}api/login",
            json.dumps({"name": "ada", "password": PASSWORD.strip()}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(login, timeout=SECONDS, context=context) as answer:
            cookie = answer.headers["set-cookie"].lower()
            assert cookie.startswith("__host-p4alg=")
            assert "; secure" in cookie
            assert "max-age" in answer.headers["strict-transport-security"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}api/me", timeout=SECONDS, context=context)
        with refused.value:
            assert refused.value.status == 401
