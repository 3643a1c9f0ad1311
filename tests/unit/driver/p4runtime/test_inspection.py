"""A switch is looked at without becoming its controller."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from p4alg.artifacts import LARGE, shipped
from p4alg.driver.artifacts import Artifacts
from p4alg.driver.p4runtime.connection import connect
from p4alg.driver.p4runtime.inspection import Running, running
from p4alg.driver.target import TargetError
from p4softswitch.p4rt.proto import p4r, text_format
from p4softswitch.server import Server, Settings

ELSEWHERE = Path(__file__).parents[3] / "softswitch" / "p4"
OTHER = Artifacts(ELSEWHERE / "l2switch.json", ELSEWHERE / "l2switch.p4info.txtpb")
SECONDS = 60.0


def pipeline(artifacts: Artifacts) -> Any:
    config = p4r.ForwardingPipelineConfig()
    text_format.Parse(artifacts.p4info.read_text(encoding="utf-8"), config.p4info)
    config.p4_device_config = artifacts.program.read_bytes()
    return config


def looked_at(artifacts: Artifacts | None, device_id: int = 1) -> Running:
    """What is found on an embedded switch with that program."""

    async def whole() -> Running:
        config = None if artifacts is None else pipeline(artifacts)
        server = Server(Settings([], "127.0.0.1:0", config=config))
        await server.start()
        try:
            return await running(server.address, device_id, shipped())
        finally:
            await server.stop()

    return asyncio.run(asyncio.wait_for(whole(), SECONDS))


@pytest.mark.parametrize(
    ("artifacts", "expected"),
    [
        (None, Running.NONE),
        (shipped(), Running.SAME),
        (shipped(LARGE), Running.OLDER),
        (OTHER, Running.OTHER),
    ],
)
def test_its_program_is_compared_with_ours(artifacts: Artifacts | None, expected: Running) -> None:
    assert looked_at(artifacts) is expected


def test_a_switch_with_another_device_id_is_refused() -> None:
    with pytest.raises(TargetError, match=r"127\.0\.0\.1:[0-9]+: .*device"):
        looked_at(None, device_id=7)


def test_a_place_where_nobody_answers_is_told_as_such(tmp_path: Path) -> None:
    for address, reason in (
        ("127.0.0.1:1", "refused"),
        (f"unix:{tmp_path}/no", "No such file"),
    ):
        with pytest.raises(TargetError, match=f"{address}: .*{reason}"):
            asyncio.run(running(address, 1, shipped()))


def test_the_controller_of_the_switch_stays_its_controller() -> None:
    async def whole() -> None:
        server = Server(Settings([], "127.0.0.1:0"))
        await server.start()
        try:
            async with connect(server.address, 1, shipped()) as target:
                assert await running(server.address, 1, shipped()) is Running.SAME
                assert await target.write([]) == {}
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(target.lost(), 0.1)
        finally:
            await server.stop()

    asyncio.run(asyncio.wait_for(whole(), SECONDS))
