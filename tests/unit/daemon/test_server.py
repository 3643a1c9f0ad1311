"""The control socket serves many clients, is bounded, and outlives every bad one."""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import stat
import time
from pathlib import Path
from typing import IO, Any

import pytest

from p4alg.config.errors import UserError
from p4alg.daemon import server
from p4alg.daemon.client import Client
from p4alg.daemon.protocol import MAX_REQUEST
from tests.unit.daemon.peers import SECONDS, Served, echo, served, wait_until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


def replies(link: socket.socket) -> list[dict[str, Any]]:
    """Everything until the server closes."""
    found: list[dict[str, Any]] = []
    try:
        with link.makefile("rb") as lines:
            found += [json.loads(line) for line in lines]
    except ConnectionResetError:
        pass
    return found


def works(it: Served) -> None:
    assert Client(it.path).call("hello") == {"command": "hello"}


def test_requests_of_one_connection_are_answered_in_order(path: Path) -> None:
    with served(path) as it, it.connect() as link:
        link.sendall(b"".join(b'{"command":"x","n":%d}\n' % n for n in range(50)))
        link.shutdown(socket.SHUT_WR)
        assert [reply["result"]["n"] for reply in replies(link)] == list(range(50))


def test_a_request_may_come_one_byte_at_a_time(path: Path) -> None:
    with served(path) as it, it.connect() as link:
        for byte in b'{"command":"x"}\n':
            link.sendall(bytes([byte]))
        link.shutdown(socket.SHUT_WR)
        assert replies(link) == [{"ok": True, "result": {"command": "x"}}]


@pytest.mark.parametrize("line", [b"hello\n", b"[]\n", b"\xff\n", b"\n", b"[" * 60_000 + b"\n"])
def test_what_is_no_request_is_refused_and_the_connection_closed(path: Path, line: bytes) -> None:
    with served(path) as it:
        with it.connect() as link:
            link.sendall(line)
            (reply,) = replies(link)
        assert (reply["ok"], reply["status"]) == (False, 1)
        works(it)


def test_a_request_up_to_the_limit_is_answered(path: Path) -> None:
    frame = len(b'{"command":"x","pad":""}\n')
    with served(path) as it:
        assert len(Client(path).call("x", pad="a" * (MAX_REQUEST - frame))["pad"]) > 65000
        works(it)


def test_a_line_without_end_is_cut_off_and_others_are_served(path: Path) -> None:
    with served(path) as it:
        with it.connect() as link:
            try:
                for _ in range(1024):
                    link.sendall(b"a" * 65536)
            except (BrokenPipeError, ConnectionResetError):
                pass
            else:
                pytest.fail("64 MB without a line end were taken")
        works(it)


@pytest.mark.parametrize(
    "sent", [b"", b'{"command"', b'{"command":"x"}\n', b'{"command":"trace"}\n']
)
def test_a_client_that_leaves_does_no_harm(path: Path, sent: bytes) -> None:
    with served(path) as it:
        for _ in range(2 * server.MAX_CLIENTS):
            with it.connect() as link:
                link.sendall(sent)
        wait_until("room for clients", lambda: answers(it))
        works(it)


def answers(it: Served) -> bool:
    try:
        works(it)
    except UserError:
        return False
    return True


def test_clients_beyond_the_limit_are_told(path: Path) -> None:
    with served(path) as it:
        links = [it.connect() for _ in range(server.MAX_CLIENTS)]
        try:
            for link in links:
                link.sendall(b'{"command":"x"}\n')
                assert link.recv(4096)
            with pytest.raises(UserError, match="too many clients: try again later"):
                Client(path).call("x")
        finally:
            for link in links:
                link.close()
        wait_until("room for clients", lambda: answers(it))


def test_traces_reach_every_client_until_it_leaves(path: Path) -> None:
    with served(path) as it:
        links = [it.connect() for _ in range(3)]
        try:
            files = [link.makefile("rb") for link in links]
            for link in links:
                link.sendall(b'{"command":"x"}\n{"command":"trace"}\n')
            for file in files:
                assert json.loads(file.readline())["ok"]
            # Each follows once it is given a record; those before may be missed.
            for file in files:
                first = following(it, file)
                assert set(first) == {"n"}
            files[0].close()
            links[0].close()
            it.publish({"last": True})
            for file in files[1:]:
                while "last" not in (record := json.loads(file.readline())):
                    assert set(record) == {"n"}
        finally:
            for link in links:
                link.close()
            for file in files:
                file.close()
        wait_until("the end of the traces", lambda: not it.traces.wanted)


def following(it: Served, file: IO[bytes]) -> dict[str, Any]:
    """The first record that a client gets, publishing until it does."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        it.publish({"n": 0})
        if select.select([file], [], [], 0.02)[0]:
            return dict(json.loads(file.readline()))
    raise AssertionError("no record came")


def test_records_that_a_slow_client_misses_are_counted() -> None:
    async def body() -> None:
        traces = server.Traces()
        follower = traces.follow()
        first = asyncio.ensure_future(anext(follower))
        await asyncio.sleep(0)
        for n in range(server.MAX_TRACED + 5):
            traces.publish({"n": n})
        got = [await first]
        got += [await anext(follower) for _ in range(server.MAX_TRACED - 1)]
        assert [record["n"] for record in got] == list(range(server.MAX_TRACED))
        traces.publish({"n": -1})
        traces.publish({"n": -2})
        assert await anext(follower) == {"n": -1, "missed": 5}
        assert await anext(follower) == {"n": -2}
        await follower.aclose()  # type: ignore[attr-defined]
        assert not traces.wanted

    asyncio.run(body())


def test_only_its_owner_may_connect_and_nothing_stays(path: Path) -> None:
    with served(path):
        mode = path.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert not path.exists()


def test_the_umask_is_what_it_was(path: Path) -> None:
    before = os.umask(0o027)
    try:
        with served(path):
            (path.parent / "file").touch()
            assert stat.S_IMODE((path.parent / "file").stat().st_mode) == 0o640
    finally:
        os.umask(before)


def serve_for_a_moment(path: Path) -> None:
    async def body() -> None:
        async with server.serve(path, echo, server.Traces()):
            pass

    asyncio.run(body())


def test_what_a_crash_left_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
    with served(path) as it:
        works(it)


def test_a_socket_that_is_served_is_not_taken_over(path: Path) -> None:
    with served(path) as it:
        for claim in (server.claim, serve_for_a_moment):
            with pytest.raises(UserError, match=f"another controller serves {path}: stop it"):
                claim(path)
        works(it)


def test_a_directory_for_the_socket_is_made(tmp_path: Path) -> None:
    serve_for_a_moment(tmp_path / "new" / "folder" / "control.sock")


@pytest.mark.parametrize("claim", [server.claim, serve_for_a_moment])
def test_a_regular_file_is_not_removed(path: Path, claim: Any) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(UserError) as caught:
        claim(path)
    assert path.read_bytes() == b"precious"
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("claim", [server.claim, serve_for_a_moment])
def test_a_place_that_cannot_be_used_is_named_with_a_reason(tmp_path: Path, claim: Any) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    folder = tmp_path / "folder"
    folder.mkdir()
    for wrong in (file / "control.sock", folder, tmp_path / ("long" * 40)):
        with pytest.raises(UserError) as caught:
            claim(wrong)
        said = str(caught.value)
        assert str(wrong) in said
        assert "None" not in said
        assert "\n" not in said
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]
