"""The controller and the switch know each other, or the controller says in a line why not."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from p4alg.artifacts import shipped
from p4alg.driver.p4runtime.channel import Tls
from p4alg.driver.p4runtime.connection import connect
from p4alg.driver.target import TargetError
from p4softswitch.p4rt import listening
from p4softswitch.server import Server, Settings
from tests.certificates import Certificate, authority, signed

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl on PATH")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    folder = tmp_path_factory.mktemp("tls")
    ca, stranger = authority(folder, "ca"), authority(folder, "stranger")
    names = {name: signed(folder, name, ca) for name in ("switch", "controller")}
    return {"ca": ca, "stranger": stranger, **names}


def tried(settings: Settings, tls: Tls | None) -> str:
    """Connect to an embedded switch; why that failed, or nothing, and its registers were asked."""

    async def whole() -> str:
        server = Server(settings)
        await server.start()
        try:
            async with connect(server.address, 1, shipped(), timeout=5.0, tls=tls) as target:
                assert target.capabilities.registers
                return ""
        except TargetError as error:
            return str(error).removeprefix(f"{server.address}: ")
        finally:
            await server.stop()

    return asyncio.run(asyncio.wait_for(whole(), 60))


def test_each_failure_of_TLS_is_said_in_one_line(files: dict[str, Certificate]) -> None:
    ca, stranger = files["ca"], files["stranger"]
    switch, ours = files["switch"], files["controller"]
    mutual = Settings([], "127.0.0.1:0", tls=listening.Tls(switch.cert, switch.key, ca.cert))
    good = Tls(ca.cert, ours.cert, ours.key)
    assert tried(mutual, good) == ""
    assert tried(mutual, replace(good, name="switch")) == ""
    for tls, reason in (
        (replace(good, ca=stranger.cert), "the switch's certificate is not of the authority in"),
        (replace(good, name="s2"), "the switch's certificate is for another name"),
        (replace(good, cert=stranger.cert, key=stranger.key), "the switch wants a certificate of"),
        (Tls(ca.cert), "the switch wants a certificate of its own authority"),
        (None, "the switch ends the connection; it may want TLS"),
    ):
        said = tried(mutual, tls)
        assert said.startswith(reason)
        assert "\n" not in said
    plain = Settings([], "127.0.0.1:0")
    assert tried(plain, good).startswith("the switch does not use TLS")
    one_sided = Settings([], "127.0.0.1:0", tls=listening.Tls(switch.cert, switch.key))
    assert tried(one_sided, Tls(ca.cert)) == ""


def test_the_controller_goes_by_a_unix_socket(tmp_path: Path) -> None:
    assert tried(Settings([], f"unix:{tmp_path}/p4rt"), None) == ""


def test_a_socket_that_is_not_there_is_told_at_once() -> None:
    async def whole() -> None:
        async with connect("unix:/nonexistent/p4rt", 1, shipped()):
            pass

    with pytest.raises(TargetError) as caught:
        asyncio.run(whole())
    assert str(caught.value) == (
        "unix:/nonexistent/p4rt: No such file or directory; start the switch or correct the address"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a socket of another user")
def test_a_switch_of_another_user_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "p4rt"

    async def whole() -> None:
        async with connect(f"unix:{path}", 1, shipped()):
            pass

    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(path))
        theirs.listen()
        os.chown(path, 65534, 65534)
        with pytest.raises(TargetError, match="belongs to user 65534"):
            asyncio.run(whole())
