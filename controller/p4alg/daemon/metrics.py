"""Metrics for Prometheus, and whether the controller is alive and ready, by HTTP.

What is counted is told as it is at the moment of the question; nothing is kept for it. The
question comes on a thread of the HTTP server, and is answered by the loop that the controller
runs on, so that no part of the controller needs a lock.

``/metrics``  all metrics, in the text format of Prometheus
``/healthz``  200 as long as the controller's loop answers
``/readyz``   200 once the switch is set up and serves, else 503
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Histogram, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.process_collector import ProcessCollector

from p4alg.config.errors import UserError

ANSWER_SECONDS = 5.0
"""The most seconds that a question waits for the controller."""
CLIENT_SECONDS = 5.0
"""The most seconds that a client may take to ask."""
MAX_CLIENTS = 16
"""The most clients at the same time."""
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is told of the controller at one moment."""

    version: str
    program: str
    counters: Mapping[str, object]
    """As in ``p4alg show counters``."""
    algs: Sequence[Mapping[str, object]]
    """As in ``p4alg show algs``."""
    subscribers: int = 0
    unfinished: int = 0
    """Writes and packets that wait."""


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """The metrics of a snapshot."""
    info = GaugeMetricFamily(
        "p4alg_build_info", "Always 1; the labels say what runs.", labels=("version", "program")
    )
    info.add_metric((snapshot.version, snapshot.program), 1)
    yield info
    yield from _counted(snapshot.counters)
    enabled = GaugeMetricFamily(
        "p4alg_alg_enabled", "Whether the ALG is on.", labels=("organisation", "alg")
    )
    sessions = GaugeMetricFamily(
        "p4alg_alg_control_sessions",
        "Control connections that the ALG follows.",
        labels=("organisation", "alg"),
    )
    for row in snapshot.algs:
        labels = (str(row.get("organisation", "default")), str(row["name"]))
        enabled.add_metric(labels, float(bool(row["enabled"])))
        sessions.add_metric(labels, float(str(row["sessions"])))
    yield from (enabled, sessions)
    yield GaugeMetricFamily(
        "p4alg_subscribers", "Inside hosts that are known.", value=snapshot.subscribers
    )
    yield GaugeMetricFamily(
        "p4alg_unfinished",
        "Writes and packets that wait for the switch.",
        value=snapshot.unfinished,
    )


_FAMILIES = (
    (
        "switch.punts.",
        "p4alg_switch_punts",
        "Packets that the switch sent to the controller.",
        "class",
    ),
    ("switch.drops.", "p4alg_switch_drops", "Packets that the switch dropped.", "reason"),
    ("nat.", "p4alg_nat", "What became of sessions: see 'nat.' in the counters.", "event"),
    ("", "p4alg_events", "All other counters of 'p4alg show counters'.", "name"),
)


def _counted(counters: Mapping[str, object]) -> Iterator[Metric]:
    """All counters. Each lands in one family, of which its name is a label."""
    alg_family = CounterMetricFamily(
        "p4alg_alg", "What an ALG did: see 'alg.NAME.' in the counters.", labels=("alg", "event")
    )
    others = {
        prefix: CounterMetricFamily(name, text, labels=(label,))
        for prefix, name, text, label in _FAMILIES
    }
    for name, number in counters.items():
        count = float(str(number))
        first, _, rest = name.partition(".")
        alg, dot, event = rest.partition(".")
        if first == "alg" and dot:
            alg_family.add_metric((alg, event), count)
            continue
        prefix = next(prefix for prefix in others if name.startswith(prefix))
        others[prefix].add_metric((name.removeprefix(prefix),), count)
    yield alg_family
    yield from others.values()


class Latency:
    """How long the controller takes to decide, and the switch to answer, in histograms."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.decide = Histogram(
            "p4alg_decide_seconds",
            "Time to decide about an event.",
            registry=registry,
            buckets=_BUCKETS,
        )
        self.write = Histogram(
            "p4alg_write_seconds",
            "Time until the switch has answered a write.",
            registry=registry,
            buckets=_BUCKETS,
        )

    def told(self) -> dict[str, dict[str, object]]:
        """Both histograms as plain data, by name.

        `buckets` are pairs of an upper bound in seconds (the last one null: no bound) and how
        many took at most that; `count` and `sum` (seconds) are of all. They begin at the start.
        """
        return {"decide": _histogram(self.decide), "write": _histogram(self.write)}


def _histogram(histogram: Histogram) -> dict[str, object]:
    samples = [sample for metric in histogram.collect() for sample in metric.samples]
    found = {
        kind: next(sample.value for sample in samples if sample.name.endswith(kind))
        for kind in ("_count", "_sum")
    }
    buckets = [
        (None if sample.labels["le"] == "+Inf" else float(sample.labels["le"]), int(sample.value))
        for sample in samples
        if sample.name.endswith("_bucket")
    ]
    return {"buckets": buckets, "count": int(found["_count"]), "sum": found["_sum"]}


class _Collector:
    """Asks the controller for a snapshot, on whichever thread it is called."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, snapshot: Callable[[], Awaitable[Snapshot]]
    ) -> None:
        self._loop = loop
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """All metrics; `TimeoutError` if the controller does not answer."""

        async def ask() -> Snapshot:
            return await self._snapshot()

        return families(asyncio.run_coroutine_threadsafe(ask(), self._loop).result(ANSWER_SECONDS))


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: who asks for metrics is of no interest to the operator."""


class _Server(ThreadingWSGIServer):
    daemon_threads = True
    # Threads wait for the controller. When it ends, it must not wait for them.
    block_on_close = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._free = threading.BoundedSemaphore(MAX_CLIENTS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client on a thread of its own, or close the connection if there are too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a client."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that has left is no fault."""


Start = Callable[..., Any]


@contextmanager
def serve(
    where: str,
    snapshot: Callable[[], Awaitable[Snapshot]],
    ready: Callable[[], bool],
    registry: CollectorRegistry,
) -> Iterator[None]:
    """Serve at ``HOST:PORT`` while in the context; `UserError` if that is not possible.

    Has to be called on the controller's loop. `registry` may have metrics of others already.
    """
    host, _, port = where.rpartition(":")
    loop = asyncio.get_running_loop()
    registry.register(_Collector(loop, snapshot))
    ProcessCollector(registry=registry)
    metrics = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            return _say(start, "405 Method Not Allowed", "only GET")
        match environ.get("PATH_INFO"):
            case "/metrics":
                try:
                    return list(metrics(environ, start))
                except TimeoutError:
                    return _say(start, "503 Service Unavailable", "the controller does not answer")
            case "/healthz":
                return _say(start, *_health(loop))
            case "/readyz":
                return _say(start, *(_OK if ready() else _NOT_READY))
            case _:
                return _say(start, "404 Not Found", "see /metrics, /healthz, /readyz")

    try:
        server = make_server(host, int(port), app, _Server, _Handler)
    except OSError as error:
        raise UserError(
            f"cannot serve metrics on {where}: {error.strerror}; correct control.metrics"
        ) from None
    thread = threading.Thread(target=partial(server.serve_forever, 0.2), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


_OK = ("200 OK", "ok")
_NOT_READY = ("503 Service Unavailable", "the switch is not set up yet")


def _health(loop: asyncio.AbstractEventLoop) -> tuple[str, str]:
    async def answer() -> None:
        return None

    try:
        asyncio.run_coroutine_threadsafe(answer(), loop).result(ANSWER_SECONDS)
    except TimeoutError:
        return "503 Service Unavailable", "the controller does not answer"
    return _OK


def _say(start: Start, status: str, text: str) -> list[bytes]:
    body = text.encode() + b"\n"
    start(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
