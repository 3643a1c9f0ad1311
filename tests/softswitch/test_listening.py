"""Who can become controller of the embedded switch: a Unix socket's owner, or who has a key."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from p4softswitch.cli import main
from p4softswitch.errors import PortError
from p4softswitch.p4rt.listening import DEFAULT_ADDRESS, Tls, problem
from p4softswitch.p4rt.proto import p4r, p4r_grpc
from p4softswitch.server import Server, Settings
from tests.certificates import Certificate, authority, signed
from tests.nobody import interpreter_of_nobody

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl on PATH")


def serving(settings: Settings, body: Callable[[Server], Awaitable[None]]) -> None:
    async def whole() -> None:
        server = Server(settings)
        await server.start()
        try:
            await body(server)
        finally:
            await server.stop()

    asyncio.run(asyncio.wait_for(whole(), 30))


# What a switch says without a program; who gets it has reached the service.
ANSWERED = grpc.StatusCode.FAILED_PRECONDITION


async def answer(channel: grpc.aio.Channel) -> grpc.StatusCode:
    """What a question by this channel ends with."""
    stub: Any = p4r_grpc.P4RuntimeStub(channel)
    try:
        await stub.GetForwardingPipelineConfig(
            p4r.GetForwardingPipelineConfigRequest(device_id=1), timeout=5
        )
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_by_default_it_serves_on_a_unix_socket() -> None:
    assert Settings([]).grpc == DEFAULT_ADDRESS == "unix:/run/p4alg/p4runtime.sock"


def test_a_unix_socket_is_for_its_owner_and_goes_with_the_switch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "made" / "p4rt"

    async def body(server: Server) -> None:
        assert server.address == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
            assert await answer(channel) is ANSWERED

    serving(Settings([], f"unix:{path}"), body)
    assert not path.exists()
    assert "can become controller" not in caplog.text


def test_its_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "p4rt"

    async def body(_: Server) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    before = os.umask(0)
    try:
        serving(Settings([], f"unix:{path}"), body)
        assert os.umask(0) == 0
    finally:
        os.umask(before)


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv"
)
def test_another_user_of_the_machine_cannot_connect() -> None:
    # In a folder that others may enter, other than those of pytest.
    folder = Path(f"/run/p4alg-test-{os.getpid()}")
    python, _ = interpreter_of_nobody()
    probe = f"import socket; socket.socket(socket.AF_UNIX).connect('{folder}/p4rt')"
    nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]

    async def body(_: Server) -> None:
        assert await run(python, "-c", probe) == (0, "")
        status, said = await run(*nobody, python, "-c", probe)
        assert status == 1
        assert "PermissionError" in said

    async def run(*command: str) -> tuple[int | None, str]:
        done = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
        _, err = await done.communicate()
        return done.returncode, err.decode()

    try:
        serving(Settings([], f"unix:{folder}/p4rt"), body)
    finally:
        shutil.rmtree(folder)


def test_a_socket_in_use_is_not_taken_from_its_server(tmp_path: Path) -> None:
    settings = Settings([], f"unix:{tmp_path}/p4rt")

    async def body(_: Server) -> None:
        with pytest.raises(PortError, match=r"another switch serves it; choose another"):
            await Server(settings).start()
        assert (tmp_path / "p4rt").is_socket()

    serving(settings, body)


def test_a_socket_that_a_crash_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "p4rt"))

    async def body(_: Server) -> None:
        assert (tmp_path / "p4rt").is_socket()

    serving(Settings([], f"unix:{tmp_path}/p4rt"), body)


def test_a_file_is_not_taken_for_a_socket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kept").write_text("mine")
    assert main(["--grpc", f"unix:{tmp_path}/kept"]) == 1
    said = capsys.readouterr().err
    assert "is not a socket; choose another with --grpc" in said
    assert len(said.splitlines()) == 1
    assert (tmp_path / "kept").read_text() == "mine"


@pytest.mark.parametrize(
    "address", ["unix:", "unix:relative", "unix:/" + "x" * 107, "nowhere", ":1", "h:x", "h:65536"]
)
def test_the_form_of_an_address_is_checked(address: str) -> None:
    assert problem(address) is not None


@pytest.mark.parametrize("address", ["unix:/a", "unix:/" + "x" * 106, "h:0", "[::1]:9559"])
def test_addresses_of_both_kinds_are_taken(address: str) -> None:
    assert problem(address) is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--tls-cert", "x"], "--tls-cert and --tls-key together"),
        (["--tls-client-ca", "x"], "--tls-cert and --tls-key together"),
        (["--tls-cert", "x", "--tls-key", "y", "--grpc", "unix:/x"], "TLS is for HOST:PORT"),
    ],
)
def test_options_of_TLS_that_contradict_are_wrong_usage(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--grpc", "127.0.0.1:0", *arguments]) == 2
    assert complaint in capsys.readouterr().err


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    folder = tmp_path_factory.mktemp("tls")
    ca, stranger = authority(folder, "ca"), authority(folder, "stranger")
    names = {name: signed(folder, name, ca) for name in ("switch", "controller")}
    return {"ca": ca, "stranger": stranger, **names}


@needs_openssl
def test_files_that_are_no_certificates_are_told(
    ours: dict[str, Certificate], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cert, key, other = ours["switch"].cert, ours["switch"].key, ours["ca"].key
    for more, complaint in (
        (("--tls-cert", cert, "--tls-key", other), "are no certificate and its key"),
        (("--tls-cert", cert, "--tls-key", tmp_path / "none"), "cannot read"),
        (("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", key), "holds no certificates"),
    ):
        assert main(["--grpc", "127.0.0.1:0", *map(str, more)]) == 1
        said = capsys.readouterr().err
        assert complaint in said
        assert len(said.splitlines()) == 1


@needs_openssl
def test_only_who_has_a_certificate_of_the_authority_gets_an_answer(
    ours: dict[str, Certificate], caplog: pytest.LogCaptureFixture
) -> None:
    ca, switch = ours["ca"], ours["switch"]
    settings = Settings([], "127.0.0.1:0", tls=Tls(switch.cert, switch.key, ca.cert))

    async def body(server: Server) -> None:
        for mine, expected in (
            (ours["controller"], ANSWERED),
            (ours["stranger"], grpc.StatusCode.UNAVAILABLE),
            (None, grpc.StatusCode.UNAVAILABLE),
        ):
            pair = (None, None) if mine is None else (mine.key, mine.cert)
            key, cert = (None if file is None else file.read_bytes() for file in pair)
            credentials = grpc.ssl_channel_credentials(ca.cert.read_bytes(), key, cert)
            async with grpc.aio.secure_channel(server.address, credentials) as channel:
                assert await answer(channel) is expected
        async with grpc.aio.insecure_channel(server.address) as plain:
            assert await answer(plain) is grpc.StatusCode.UNAVAILABLE

    serving(settings, body)
    assert "can become controller" not in caplog.text


@needs_openssl
@pytest.mark.parametrize("with_tls", [False, True])
def test_it_warns_when_anybody_who_reaches_it_could_be_controller(
    ours: dict[str, Certificate], with_tls: bool, caplog: pytest.LogCaptureFixture
) -> None:
    tls = Tls(ours["switch"].cert, ours["switch"].key) if with_tls else None

    async def body(server: Server) -> None:
        assert f"whoever reaches {server.address} can become controller" in caplog.text

    serving(Settings([], "127.0.0.1:0", tls=tls), body)
