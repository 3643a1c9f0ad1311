"""Whatever is at the other end of the socket, the client's error is one line for a person."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from p4alg.config.errors import UsageError, UserError
from p4alg.daemon import client as module
from p4alg.daemon.client import Client
from p4alg.daemon.protocol import MAX_REQUEST, encode, failure, success
from tests.unit.daemon.peers import answering, served


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


def error_of(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        Client(path).call("show", what="algs")
    assert caught.value.status == 1
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_no_socket_is_no_controller(path: Path) -> None:
    wanted = f"no controller at {path}: start one with 'p4alg run -c CONFIG'"
    assert error_of(path) == wanted
    with pytest.raises(UserError, match="start one with"):
        next(Client(path).trace())


def test_a_socket_that_a_crash_left_is_no_controller(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
    assert "start one with" in error_of(path)


def test_a_file_or_a_path_that_cannot_be_a_socket_is_no_controller(
    path: Path, tmp_path: Path
) -> None:
    path.write_bytes(b"")
    assert "start one with" in error_of(path)
    assert "start one with" in error_of(path / "control.sock")
    assert "start one with" in error_of(tmp_path)
    assert "start one with" in error_of(tmp_path / ("long" * 60))


@pytest.mark.parametrize("answer", [b"", b"{", b"\n", b"[]\n", b"\xff\xfe\n", b'{"ok": tr'])
def test_an_answer_that_is_none_is_told(path: Path, answer: bytes) -> None:
    with answering(path, answer):
        assert "does not answer" in error_of(path)


def test_a_controller_that_hangs_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 0.1)
    with answering(path, b"", hang=True):
        assert "does not answer" in error_of(path)


def test_a_result_is_given_as_it_is(path: Path) -> None:
    with answering(path, encode(success([{"name": "ftp"}]))):
        assert Client(path).call("show", what="algs") == [{"name": "ftp"}]


@pytest.mark.parametrize(("status", "kind"), [(1, UserError), (2, UsageError)])
def test_a_refusal_has_the_status_that_the_controller_says(
    path: Path, status: int, kind: type[UserError]
) -> None:
    with answering(path, encode(failure("no, because", status))), pytest.raises(kind) as caught:
        Client(path).call("enable", name="x")
    assert (str(caught.value), caught.value.status) == ("no, because", status)
    assert type(caught.value) is kind


def test_a_refusal_without_a_reason_is_a_line_too(path: Path) -> None:
    with answering(path, b"{}\n"), pytest.raises(UserError, match="gave no reason"):
        Client(path).call("enable", name="x")


def test_a_trace_ends_when_the_controller_does(path: Path) -> None:
    with answering(path, encode({"n": 1}) + encode({"n": 2})):
        assert list(Client(path).trace()) == [{"n": 1}, {"n": 2}]


def test_a_trace_that_is_cut_off_gives_its_whole_records_and_then_an_error(path: Path) -> None:
    """As when the controller is killed while it writes."""
    got: list[dict[str, Any]] = []
    with (
        answering(path, encode({"n": 1}) + b'{"n": '),
        pytest.raises(UserError, match=str(path)) as caught,
    ):
        got.extend(Client(path).trace())
    assert "\n" not in str(caught.value)
    assert got == [{"n": 1}]


def test_a_trace_that_is_refused_says_why(path: Path) -> None:
    with (
        answering(path, encode(failure("too many clients: try again later", 1))),
        pytest.raises(UserError, match=r"^too many clients: try again later$"),
    ):
        list(Client(path).trace())


def test_request_and_reply_pass_the_real_server(path: Path) -> None:
    with served(path):
        client = Client(path)
        sent = {"command": "services", "name": "a\nb \u2028 \U0001f600", "services": ["x"] * 100}
        assert client.call(**sent) == sent  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="refused as asked"):
            client.call("refuse", status=2)
        with pytest.raises(UserError, match="refused as asked"):
            client.call("refuse", status=1)


def test_a_request_that_is_too_long_is_refused_with_its_limit(path: Path) -> None:
    with served(path):
        client = Client(path)
        with pytest.raises(UsageError, match=str(MAX_REQUEST)):
            client.call("services", name="ftp", services=["x" * MAX_REQUEST])
        assert client.call("hello") == {"command": "hello"}
