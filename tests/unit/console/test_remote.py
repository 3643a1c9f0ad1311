"""Commands with --gateway, by a real console to a real controller and switch."""

from __future__ import annotations

import io
import json
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4alg.cli import main
from p4alg.daemon.client import Client
from tests.unit.console.peers import ADMIN, LOOKER, Served, console
from tests.unit.daemon.peers import controller, served, wait_until


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with controller(tmp_path_factory.mktemp("controller")) as path:
        yield path


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory, socket: Path) -> Iterator[Served]:
    with console(tmp_path_factory.mktemp("console"), {"gateway": socket}) as made:
        yield made


@pytest.fixture(autouse=True)
def login_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "config" / "login.json"
    monkeypatch.setenv("P4ALG_REMOTE", str(file))
    return file


def login(monkeypatch: pytest.MonkeyPatch, port: int, who: tuple[str, str]) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{who[1]}\n"))
    return main(["console", "login", f"http://127.0.0.1:{port}/", "--user", who[0]])


@pytest.fixture
def ada(it: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert login(monkeypatch, it.port, ADMIN) == 0
    assert capsys.readouterr().out == f"ada is logged in at http://127.0.0.1:{it.port}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["show", "algs", "--json"],
        ["show", "services"],
        ["show", "sessions", "--json", "--limit", "3"],
        ["show", "switch"],
        ["alg", "list"],
        ["alg", "services", "ftp"],
        ["config", "show"],
        ["config", "history", "--json"],
    ],
)
def test_what_is_shown_from_afar_is_what_is_shown_here(
    ada: None, socket: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main([*words, "--gateway", "gateway"]) == 0
    afar = capsys.readouterr()
    assert main([*words, "--socket", str(socket)]) == 0
    assert capsys.readouterr() == afar
    assert afar.out


def test_a_change_from_afar_is_made_in_the_users_name_and_recorded(
    ada: None, it: Served, socket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["alg", "disable", "ftp", "--gateway", "gateway"]) == 0
    assert capsys.readouterr().out.startswith("ftp is off")
    here = Client(socket)
    assert here.call("show", what="algs")[0]["enabled"] is False
    assert here.call("config", action="history")[-1]["who"] == "ada (console)"
    assert it.console.audit.records[-1]["what"] == "disable ftp"
    assert main(["alg", "enable", "ftp", "--gateway", "gateway"]) == 0
    assert main(["clear", "counters", "--all", "--gateway", "gateway"]) == 0
    assert it.console.audit.records[-1]["what"] == "clear counters"


def test_who_may_look_only_changes_nothing_from_afar(
    it: Served,
    socket: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert login(monkeypatch, it.port, LOOKER) == 0
    before = Client(socket).call("config", action="show")
    for words in (
        ["alg", "disable", "ftp"],
        ["alg", "services", "ftp", "ftp"],
        ["clear", "counters", "--all"],
        ["config", "set", "algs.ftp.enabled", "false"],
        ["config", "discard", "--force"],
    ):
        capsys.readouterr()
        assert main([*words, "--gateway", "gateway"]) == 1
        assert capsys.readouterr().err == (
            "p4alg: 'otto' may look, but change nothing: ask an admin\n"
        )
    assert Client(socket).call("config", action="show") == before
    assert main(["show", "algs", "--gateway", "gateway"]) == 0


def test_requests_that_the_console_does_not_know_go_nowhere(it: Served) -> None:
    ada, path = it.browser(), "/api/devices/gateway/call"
    for body in (
        {"command": "trace"},
        {"command": "nosuch"},
        {"command": "config"},
        {"command": "config", "action": "nosuch"},
        {"command": "config", "action": ["set"]},
        {},
    ):
        answer = ada.post(path, body)
        assert (answer.status, bool(answer.error)) == (400, True), body
    # A name that somebody gives himself is not believed.
    changed = {"command": "disable", "name": "ftp", "who": "mallory"}
    assert ada.post(path, changed).status == 200
    history = ada.get("/api/devices/gateway/config/history").json
    assert history[-1]["who"] == "ada (console)"
    assert ada.post(path, {"command": "enable", "name": "ftp"}).status == 200


def test_traces_come_from_afar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {
        **dict.fromkeys(("alg", "client", "server", "summary", "reason", "organisation"), "x"),
        **{"time": "2026-01-01T00:00:00", "sender": "client", "verdict": "forwarded"},
        **{"before": "PORT", "after": "PORT", "pinholes": []},
    }
    with served(tmp_path / "c.sock") as peer, console(tmp_path, {"a": peer.path}) as it:
        assert login(monkeypatch, it.port, ADMIN) == 0
        capsys.readouterr()

        def tell() -> None:
            traces = it.console.devices["a"].traces
            wait_until("a reader", lambda: peer.traces.wanted and traces.count)
            with it.browser(LOOKER).stream("/api/devices/a/stream?topic=trace") as events:
                wait_until("another one", lambda: traces.count == 2)
                peer.publish(record)
                assert next(events) == ("trace", record)
            # The logins are over, and so is the trace.
            it.wait(1e6)

        teller = threading.Thread(target=tell)
        teller.start()
        assert main(["trace", "--json", "--gateway", "a"]) == 0
        teller.join()
    assert json.loads(capsys.readouterr().out) == record


def test_what_goes_wrong_from_afar_is_one_clear_line(
    it: Served,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    login_file: Path,
) -> None:
    def says(words: list[str], status: int, text: str) -> None:
        capsys.readouterr()
        assert main(words) == status
        said = capsys.readouterr().err
        assert text in said
        assert said.count("\n") == 1

    show = ["show", "algs", "--gateway"]
    says([*show, "gateway"], 1, "not logged in at a console: run 'p4alg console login URL'")
    says(["console", "logout"], 1, "not logged in")
    says(["console", "login", "gateway"], 2, "is not the URL of a console")
    assert login(monkeypatch, it.port, ("ada", "not the password")) == 1
    assert "wrong name or password" in capsys.readouterr().err
    assert login(monkeypatch, 1, ADMIN) == 1
    assert "no console at http://127.0.0.1:1" in capsys.readouterr().err
    assert not login_file.exists()
    assert login(monkeypatch, it.port, ADMIN) == 0
    assert stat.S_IMODE(login_file.stat().st_mode) == 0o600
    says([*show, "nosuch"], 2, "no device of that name (known: gateway)")
    says([*show, "a/../b"], 2, "is not the name of a gateway")
    says([*show, "gateway", "--socket", "x"], 2, "not allowed with argument")
    says(["alg", "disable", "nosuch", "--gateway", "gateway"], 2, "no ALG 'nosuch'")
    kept = login_file.read_text()
    assert main(["console", "logout"]) == 0
    assert not login_file.exists()
    login_file.write_text(kept)
    says([*show, "gateway"], 1, "the login is over: run 'p4alg console login http://127.0.0.1:")
    login_file.write_text("{}")
    says([*show, "gateway"], 1, "is damaged")
