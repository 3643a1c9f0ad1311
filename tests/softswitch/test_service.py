"""The whole server on loopback: real gRPC clients, pcap files as ports, the command line."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from p4softswitch.cli import main
from p4softswitch.errors import PortError
from p4softswitch.io.pcap import PcapWriter, read_pcap
from p4softswitch.io.spec import InterfaceSpec, PcapSpec, parse_port
from p4softswitch.p4rt.codes import DETAILS_KEY
from p4softswitch.p4rt.proto import p4r, p4r_grpc, rpc_code, rpc_status
from p4softswitch.server import Server, Settings

from .helpers import P4_DIR, Bench, config, udp_frame, update

EID = p4r.Uint128(low=1)

ROOT = Path(__file__).resolve().parents[2]


class Client:
    """A P4Runtime client on a real channel."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self.stub: Any = p4r_grpc.P4RuntimeStub(self.channel)
        self.stream: Any = self.stub.StreamChannel()

    async def arbitrate(self, low: int = 1) -> int:
        request = p4r.StreamMessageRequest()
        request.arbitration.device_id = 1
        request.arbitration.election_id.low = low
        await self.stream.write(request)
        answer = await self.stream.read()
        return int(answer.arbitration.status.code)

    async def push(self, message: Any = None) -> None:
        await self.stub.SetForwardingPipelineConfig(
            p4r.SetForwardingPipelineConfigRequest(
                device_id=1,
                election_id=EID,
                action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
                config=config() if message is None else message,
            )
        )

    async def close(self) -> None:
        self.stream.cancel()
        await self.channel.close()


def with_server(
    body: Callable[[Server, Client], Awaitable[None]], settings: Settings | None = None
) -> None:
    async def run() -> None:
        server = Server(settings or Settings([], grpc="127.0.0.1:0"))
        await server.start()
        client = Client(server.grpc_port)
        try:
            await asyncio.wait_for(body(server, client), 20)
        finally:
            await client.close()
            await server.stop()

    asyncio.run(run())


def test_a_failed_batch_reports_every_update_in_the_status_details() -> None:
    bench = Bench()

    async def body(server: Server, client: Client) -> None:
        assert await client.arbitrate() == 0
        await client.push()
        request = p4r.WriteRequest(device_id=1, election_id=EID)
        for entry in (bench.dmac(1, 1), bench.dmac(1, 1), bench.dmac(2, 2)):
            request.updates.append(update("INSERT", table_entry=entry))
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await client.stub.Write(request)
        assert failed.value.code() is grpc.StatusCode.UNKNOWN
        trailers = dict(failed.value.trailing_metadata())
        status = rpc_status.Status.FromString(trailers[DETAILS_KEY])
        codes = []
        for detail in status.details:
            error = p4r.Error()
            assert detail.Unpack(error)
            codes.append(error.canonical_code)
        assert codes == [0, rpc_code.ALREADY_EXISTS, 0]
        read = p4r.ReadRequest(device_id=1)
        read.entities.add().table_entry.table_id = bench.id_of("tables", "dmac")
        answers = [answer async for answer in client.stub.Read(read)]
        assert sum(len(a.entities) for a in answers) == 2

    with_server(body)


def test_refusals_have_their_grpc_codes() -> None:
    async def code(call: Any) -> grpc.StatusCode:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        return failed.value.code()

    async def body(server: Server, client: Client) -> None:
        stub = client.stub
        write = p4r.WriteRequest(device_id=1, election_id=EID)
        assert await code(stub.Write(write)) is grpc.StatusCode.PERMISSION_DENIED
        await client.arbitrate()
        assert await code(stub.Write(write)) is grpc.StatusCode.FAILED_PRECONDITION
        get = p4r.GetForwardingPipelineConfigRequest(device_id=9)
        wrong = stub.GetForwardingPipelineConfig(get)
        assert await code(wrong) is grpc.StatusCode.NOT_FOUND
        answer = await stub.Capabilities(p4r.CapabilitiesRequest())
        assert answer.p4runtime_api_version
        second = Client(server.grpc_port)
        request = p4r.StreamMessageRequest()
        request.arbitration.device_id = 1
        request.arbitration.election_id.low = 1
        await second.stream.write(request)
        assert await code(second.stream.read()) is grpc.StatusCode.INVALID_ARGUMENT
        await second.close()

    with_server(body)


def test_a_backup_learns_that_the_primary_has_gone() -> None:
    async def body(server: Server, client: Client) -> None:
        backup = Client(server.grpc_port)
        await client.arbitrate(5)
        assert await backup.arbitrate(1) == rpc_code.ALREADY_EXISTS
        await client.stream.done_writing()
        note = await backup.stream.read()
        assert note.arbitration.status.code == rpc_code.NOT_FOUND
        await backup.close()

    with_server(body)


def test_packets_go_from_file_to_file_and_digests_to_the_controller(tmp_path: Path) -> None:
    source = PcapWriter(tmp_path / "in.pcap")
    frames = [udp_frame(bytes([i]), smac=i + 1) for i in range(5)]
    for i, frame in enumerate(frames):
        source.write(frame, i)
    source.close()
    bench = Bench()
    digest_id = bench.p4info.digests[0].preamble.id

    async def body(server: Server, client: Client) -> None:
        await client.arbitrate()
        digest = p4r.DigestEntry(digest_id=digest_id)
        digest.config.max_timeout_ns = 50_000_000
        default = bench.table_entry("dmac", "forward", (b"\2",), is_default_action=True)
        request = p4r.WriteRequest(
            device_id=1,
            election_id=EID,
            updates=[
                update("MODIFY", table_entry=default),
                update("INSERT", digest_entry=digest),
            ],
        )
        # Replay begins when there is a program. Nothing is awaited until that is filled
        # too, so that no packet is too early.
        server.device.pipeline.set(3, config())
        assert server.device.write(request) == [None, None]
        samples: list[Any] = []
        while len(samples) < 5:
            message = await client.stream.read()
            samples += message.digest.data
        macs = {s.struct.members[0].bitstring for s in samples}
        assert macs == {bytes([i]) for i in range(1, 6)}

    ports = [PcapSpec(1, tmp_path / "in.pcap", None), PcapSpec(2, None, tmp_path / "out.pcap")]
    with_server(body, Settings(ports, grpc="127.0.0.1:0"))
    assert [frame for _, frame in read_pcap(tmp_path / "out.pcap")] == frames


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_pcap_files_of_both_byte_orders_and_units(
    tmp_path: Path, order: str, magic: int, unit: int
) -> None:
    path = tmp_path / "x.pcap"
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
    path.write_bytes(head + struct.pack(order + "IIII", 1, 2, 3, 3) + b"abc")
    assert read_pcap(path) == [(1_000_000_000 + 2 * unit, b"abc")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a pcap file, but long enough to be one",
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 113),
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"cut",
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
        + struct.pack("<IIII", 0, 0, 1 << 31, 1),
    ],
)
def test_files_that_are_not_pcap_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(data)
    with pytest.raises(PortError):
        read_pcap(path)


def test_port_specifications() -> None:
    assert parse_port("1@veth0") == InterfaceSpec(1, "veth0")
    assert parse_port("2@file:a,b") == PcapSpec(2, Path("a"), Path("b"))
    assert parse_port("2@file:,b") == PcapSpec(2, None, Path("b"))
    for bad in ("", "1", "x@y", "1@", "600@a", "1@file:a", "1@file:,", "1@a b", "-1@a", "1@" * 9):
        with pytest.raises(ValueError, match="'"):
            parse_port(bad)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-i", "nonsense"],
        ["-i", "1@a", "-i", "1@b"],
        ["-i", "510@a"],
        ["--grpc", "nowhere"],
        ["--grpc", "127.0.0.1:99999"],
        ["--p4info", "x"],
        ["--p4info", "/nonexistent", "--json", "/nonexistent"],
        ["--cpu-port", "511"],
        ["--device-id", "0"],
        ["--no-such-option"],
    ],
)
def test_wrong_usage_ends_with_2_and_no_traceback(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-i", "1@nosuchif0"], "does not exist"),
        (["-i", "1@file:/nonexistent/x.pcap,"], "cannot read"),
        (["--grpc", "192.0.2.1:9559"], "cannot listen"),
    ],
)
def test_what_cannot_be_started_ends_with_1_and_says_why(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--grpc", "127.0.0.1:0", *arguments]) == 1
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("p4softswitch:")]
    assert len(lines) == 1
    assert complaint in lines[0]


def test_a_wrong_program_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.json").write_text("{}")
    p4info = str(P4_DIR / "l2switch.p4info.txtpb")
    args = ["--grpc", "127.0.0.1:0", "--p4info", p4info, "--json", str(tmp_path / "x.json")]
    assert main(args) == 1
    assert "malformed" in capsys.readouterr().err


def test_the_compiled_source_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dump-source", "--json", str(P4_DIR / "l2switch.json")]) == 0
    source = capsys.readouterr().out
    # Names and lines of the program are in it.
    assert "struct ipv4_t_s ipv4;" in source
    assert "/* action SwitchIngress.forward */" in source
    assert re.search(r"/\* l2switch\.p4:\d+: mark_to_drop\(std\) \*/", source)
    assert "p4_ingress" in source
    assert "/* table SwitchIngress.acl l2switch.p4:" in source
    assert main(["--dump-source"]) == 2
    assert main(["--dump-source", "--json", "/nonexistent"]) == 2


def test_others_are_served_while_a_program_is_compiled(tmp_path: Path) -> None:
    async def ask(client: Client, push: asyncio.Task[None]) -> list[float]:
        took = []
        while not push.done():
            begin = time.monotonic()
            await client.stub.Capabilities(p4r.CapabilitiesRequest())
            took.append(time.monotonic() - begin)
            await asyncio.sleep(0.01)
        return took

    async def body(port: int) -> tuple[float, list[float]]:
        client = Client(port)
        try:
            await client.arbitrate()
            begin = time.monotonic()
            push = asyncio.create_task(client.push())
            took = await ask(client, push)
            await push
            return time.monotonic() - begin, took
        finally:
            await client.close()

    # By a process of its own, which has compiled nothing yet.
    command = [sys.executable, "-m", "p4softswitch", "--grpc", "127.0.0.1:0"]
    environment = {**os.environ, "P4ALG_CACHE": str(tmp_path / "cache")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            assert process.stdout is not None
            port = re.search(r"grpc 127.0.0.1:(\d+)", process.stdout.readline())
            assert port is not None
            whole, took = asyncio.run(asyncio.wait_for(body(int(port[1])), 60))
        finally:
            process.terminate()
    assert len(took) > 10
    assert max(took) < whole / 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_when_it_is_ready_and_ends_with_0_on_a_signal(
    number: int, tmp_path: Path
) -> None:
    address = f"unix:{tmp_path}/p4rt"
    command = [sys.executable, "-m", "p4softswitch", "--grpc", address]
    files = ["--p4info", str(P4_DIR / "l2switch.p4info.txtpb")]
    files += ["--json", str(P4_DIR / "l2switch.json")]
    with subprocess.Popen(
        [*command, *files], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"p4softswitch: ready, grpc {address}, ")
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_goes_on_when_who_read_its_output_has_left(number: int, tmp_path: Path) -> None:
    address = tmp_path / "p4rt"
    command = [sys.executable, "-m", "p4softswitch", "--grpc", f"unix:{address}"]
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE, text=True) as process:
        os.close(write)
        until = time.monotonic() + 30
        while not address.exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        # At once after its start, perhaps before it waits for signals: it ends in order anyway.
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert not address.exists()


def test_a_reader_of_the_source_may_leave_early() -> None:
    command = [sys.executable, "-m", "p4softswitch", "--dump-source"]
    # Its source is longer than what a pipe holds.
    command += ["--json", str(ROOT / "p4src" / "artifacts" / "v1model" / "p4alg.json")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("/* Generated")
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_an_address_in_use_is_refused() -> None:
    async def body(server: Server, client: Client) -> None:
        other = Server(Settings([], grpc=f"127.0.0.1:{server.grpc_port}"))
        with pytest.raises(PortError, match="in use"):
            await other.start()

    with_server(body)
