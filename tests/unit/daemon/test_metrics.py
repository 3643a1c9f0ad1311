"""Metrics are told by HTTP as they are when asked for; an odd client costs nobody."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from p4alg.config.errors import UserError
from p4alg.daemon import metrics
from p4alg.daemon.metrics import Latency, Snapshot, families

SNAPSHOT = Snapshot(
    version="1.2",
    program="p4alg",
    counters={
        "alg.ftp.controls.opened": 3,
        "alg.ftp.client.refused.bounce": 1,
        "switch.punts.arp": 7,
        "switch.drops.source": 8,
        "nat.sessions.opened": 9,
        "switch.unreadable": 1,
        "faults.PacketIn": 2,
    },
    algs=[{"name": "ftp", "enabled": True, "sessions": 2}],
    subscribers=4,
    unfinished=6,
)


def values(families: Any) -> dict[tuple[str, tuple[str, ...]], float]:
    """Samples by name and the values of their labels, in the order of the labels' names."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_every_number_of_a_snapshot_is_a_metric() -> None:
    found = values(families(SNAPSHOT))
    assert found[("p4alg_build_info", ("p4alg", "1.2"))] == 1
    assert found[("p4alg_alg_total", ("ftp", "controls.opened"))] == 3
    assert found[("p4alg_alg_total", ("ftp", "client.refused.bounce"))] == 1
    assert found[("p4alg_switch_punts_total", ("arp",))] == 7
    assert found[("p4alg_switch_drops_total", ("source",))] == 8
    assert found[("p4alg_nat_total", ("sessions.opened",))] == 9
    assert found[("p4alg_events_total", ("switch.unreadable",))] == 1
    assert found[("p4alg_events_total", ("faults.PacketIn",))] == 2
    assert found[("p4alg_alg_enabled", ("ftp", "default"))] == 1
    assert found[("p4alg_alg_control_sessions", ("ftp", "default"))] == 2
    assert found[("p4alg_subscribers", ())] == 4
    assert found[("p4alg_unfinished", ())] == 6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, method=method), timeout=10
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def served(
    body: Callable[[str], Awaitable[None]],
    snapshot: Callable[[], Awaitable[Snapshot]] | None = None,
    ready: Callable[[], bool] = lambda: True,
) -> None:
    async def told() -> Snapshot:
        return SNAPSHOT

    async def whole() -> None:
        registry = CollectorRegistry()
        Latency(registry).decide.observe(0.002)
        where = f"127.0.0.1:{free_port()}"
        with metrics.serve(where, snapshot or told, ready, registry):
            await body(f"http://{where}")

    asyncio.run(asyncio.wait_for(whole(), 30))


def test_a_real_client_reads_all_of_them() -> None:
    async def body(url: str) -> None:
        status, text = await asyncio.to_thread(get, f"{url}/metrics")
        assert status == 200
        found = values(text_string_to_metric_families(text))
        assert found.items() >= values(families(SNAPSHOT)).items()
        assert found[("p4alg_decide_seconds_bucket", ("0.0025",))] == 1
        assert found[("p4alg_decide_seconds_bucket", ("0.001",))] == 0
        assert found[("process_resident_memory_bytes", ())] > 0

    served(body)


def test_alive_is_not_yet_ready() -> None:
    is_ready = False

    async def body(url: str) -> None:
        nonlocal is_ready
        assert await asyncio.to_thread(get, f"{url}/healthz") == (200, "ok\n")
        assert (await asyncio.to_thread(get, f"{url}/readyz"))[0] == 503
        is_ready = True
        assert await asyncio.to_thread(get, f"{url}/readyz") == (200, "ok\n")
        assert (await asyncio.to_thread(get, f"{url}/"))[0] == 404
        assert (await asyncio.to_thread(get, f"{url}/metrics", "POST"))[0] == 405

    served(body, ready=lambda: is_ready)


def test_a_controller_that_hangs_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "ANSWER_SECONDS", 0.05)

    async def never() -> Snapshot:
        await asyncio.Event().wait()
        raise AssertionError

    async def body(url: str) -> None:
        status, text = await asyncio.to_thread(get, f"{url}/metrics")
        assert (status, text) == (503, "the controller does not answer\n")

    served(body, never)


def test_clients_that_say_nothing_do_not_keep_others_out_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics._Handler, "timeout", 0.2)

    async def body(url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        mute = [socket.create_connection((host, int(port))) for _ in range(50)]
        try:
            for _ in range(100):
                try:
                    assert (await asyncio.to_thread(get, f"{url}/healthz"))[0] == 200
                    break
                except OSError:
                    await asyncio.sleep(0.05)
            else:
                pytest.fail("nobody is served any more")
        finally:
            for link in mute:
                link.close()

    served(body)


def test_a_place_that_is_taken_is_said_in_one_line() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        where = f"127.0.0.1:{other.getsockname()[1]}"

        async def whole() -> None:
            async def told() -> Snapshot:
                return SNAPSHOT

            with metrics.serve(where, told, lambda: True, CollectorRegistry()):
                pass

        with pytest.raises(UserError, match=r"cannot serve metrics on .*correct control\.metrics"):
            asyncio.run(whole())
