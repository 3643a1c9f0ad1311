"""The driver on real P4Runtime targets, on loopback and without ports."""

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from p4alg.driver.artifacts import Artifacts
from p4alg.driver.p4runtime.connection import connect
from p4alg.driver.target import TargetError
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import PacketOut
from p4alg.engine.reconcile import reconcile

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = Artifacts(
    ROOT / "p4src/artifacts/v1model/p4alg.json",
    ROOT / "p4src/artifacts/v1model/p4alg.p4info.txtpb",
)
OTHER = Artifacts(
    ROOT / "tests/softswitch/p4/l2switch.json", ROOT / "tests/softswitch/p4/l2switch.p4info.txtpb"
)
FLOW = t.FlowKey(6, 0x0A00000B, 40000, 0xC6336416, 21)
ENTRIES: list[t.Entry] = [
    t.Port(1, 0, 1, t.Side.INSIDE, 0x020000000001),
    t.Session(FLOW, 1, t.SessionFlags.NOTIFY_ESTABLISHED, 240.0),
    t.PinholeEntry(6, 0x0A00000B, 40001, 0xC6336416, None, 7, idle_timeout=60.0),
    t.Sequence(FLOW, t.Correction(0xFFFFFFF0, -3, 2), t.Correction(5, 0, 0)),
    t.Route(0, 0, 3),
    t.Policy(10, t.PolicyAction.EXEMPT, side=(0, 1), dst_addr=(0x0A000000, 0xFFFFFF00)),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(target: str, address: str) -> list[str]:
    if target == "embedded":
        return [sys.executable, "-m", "p4softswitch", "--grpc", address, "--device-id", "1"]
    if shutil.which("simple_switch_grpc") is None:
        pytest.skip("simple_switch_grpc is not on PATH")
    return [
        "simple_switch_grpc",
        *("--no-p4", "--device-id", "1", "--"),
        *("--grpc-server-addr", address, "--cpu-port", "510"),
    ]


@contextmanager
def running(target: str) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        command(target, address), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0:
                    break
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(params=["embedded", pytest.param("bmv2", marks=pytest.mark.bmv2)])
def switch(request: pytest.FixtureRequest) -> Iterator[str]:
    with running(request.param) as address:
        yield address


def test_entries_are_read_back_as_written_and_by_the_next_controller(switch: str) -> None:
    async def body() -> None:
        async with connect(switch, 1, ARTIFACTS) as link:
            updates = reconcile(ENTRIES, await link.read_entries())
            assert await link.write(updates) == {}
        async with connect(switch, 1, ARTIFACTS) as link:
            assert reconcile(ENTRIES, await link.read_entries()) == []

    asyncio.run(body())


def test_refused_update_is_named_and_the_others_stand(switch: str) -> None:
    async def body() -> None:
        async with connect(switch, 1, ARTIFACTS) as link:
            refused = await link.write(
                [t.Update(t.Op.INSERT, ENTRIES[0]), t.Update(t.Op.DELETE, t.Local(1))]
            )
            assert list(refused) == [1]
            assert await link.read_entries() == [ENTRIES[0]]

    asyncio.run(body())


def test_arp_is_punted_with_its_port_and_reason(switch: str) -> None:
    async def body() -> None:
        async with connect(switch, 1, ARTIFACTS) as link:
            await link.write([t.Update(t.Op.INSERT, ENTRIES[0])])
            frame = b"\xff" * 6 + b"\x02" * 6 + b"\x08\x06" + bytes(46)
            packets = link.events()[0]
            waiting = asyncio.ensure_future(anext(packets))
            await asyncio.sleep(0)
            # A packet-out that enters the pipeline is punted like any ARP.
            await link.send([PacketOut(frame, ingress_port=1)])
            event = await asyncio.wait_for(waiting, 5)
            assert event == ev.PacketIn(1, ev.Reason.ARP, 0, False, frame)

    asyncio.run(body())


def test_switch_with_another_program_is_left_alone() -> None:
    import finsy as fy

    async def body(address: str) -> None:
        options = fy.SwitchOptions(p4info=OTHER.p4info, p4blob=OTHER.program)
        async with fy.Switch("other", address, options):
            pass
        with pytest.raises(TargetError, match="another program"):
            async with connect(address, 1, ARTIFACTS):
                pass

    with running("embedded") as address:
        asyncio.run(body(address))


def test_unreachable_switch_is_one_line() -> None:
    async def body() -> None:
        async with connect(f"127.0.0.1:{free_port()}", 1, ARTIFACTS, timeout=2):
            pass

    with pytest.raises(TargetError) as caught:
        asyncio.run(body())
    assert "\n" not in str(caught.value)


def test_missing_artifact_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="not found"):
        Artifacts(tmp_path / "a.json", tmp_path / "b.txtpb").verify()
