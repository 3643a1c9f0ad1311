"""One P4Runtime device: requests in, answers out, without gRPC and without an event loop.

`service` puts this behind gRPC. Streams are seen as `Stream` objects with a bounded queue: a
controller that stops reading loses messages, which are counted, and never stalls the switch.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from p4softswitch.errors import StateError
from p4softswitch.p4rt import entries as entry_codec
from p4softswitch.p4rt.arbitration import Arbitration, Client, election_id_of
from p4softswitch.p4rt.cells import Key
from p4softswitch.p4rt.codes import (
    INVALID_ARGUMENT,
    NOT_FOUND,
    PERMISSION_DENIED,
    SPACE,
    UNIMPLEMENTED,
    RpcError,
)
from p4softswitch.p4rt.lacking import Part, forget, refusal
from p4softswitch.p4rt.packetio import packet_in, packet_out
from p4softswitch.p4rt.pipeline import Loaded, Pipeline
from p4softswitch.p4rt.proto import p4r
from p4softswitch.p4rt.read import Reader, digest_message
from p4softswitch.p4rt.write import Writer
from p4softswitch.state.digests import DigestList
from p4softswitch.state.tables import Entry
from p4softswitch.switch import Switch

log = logging.getLogger(__name__)

Clock = Callable[[], int]
API_VERSION = "1.4.0"
CHUNK_ENTITIES = 500


class Stream:
    """A client and how to reach it: `offer` queues a message, False if the queue is full."""

    def __init__(self, offer: Callable[[Any], bool]) -> None:
        self.client = Client()
        self.offer = offer


class Device:
    """Device `device_id`; `clock` gives nanoseconds of the same clock as the data plane's.

    It does without the parts of P4Runtime that it `lacks`.
    """

    def __init__(
        self, switch: Switch, device_id: int, clock: Clock, lacks: Collection[Part] = ()
    ) -> None:
        self.switch = switch
        self.device_id = device_id
        self.clock = clock
        self._lacks = lacks
        self.pipeline = Pipeline(switch)
        self.arbitration = Arbitration(device_id)
        self.counts: Counter[str] = Counter()
        self._streams: dict[Client, Stream] = {}
        switch.listener = self

    # --- requests --------------------------------------------------------------------------

    def _check_device(self, device_id: int) -> None:
        if device_id != self.device_id:
            raise RpcError(NOT_FOUND, f"there is no device {device_id}")

    def _check_primary(self, request: Any) -> None:
        role = request.role or (f"#{request.role_id}" if request.role_id else "")
        self.arbitration.check_primary(role, election_id_of(request))

    def check_pipeline(self, request: Any) -> bool:
        """Whether SetForwardingPipelineConfig may be carried out and has to load its config."""
        self._check_device(request.device_id)
        self._check_primary(request)
        return self.pipeline.has_to_load(request.action)

    def set_pipeline(self, request: Any, loaded: Loaded | None = None) -> None:
        """SetForwardingPipelineConfig; `loaded` is the config of the request, loaded already."""
        self.check_pipeline(request)
        self.pipeline.set(request.action, request.config, loaded)
        log.info("pipeline config: action %d done", request.action)

    def get_pipeline(self, request: Any) -> Any:
        """GetForwardingPipelineConfig."""
        self._check_device(request.device_id)
        config = self.pipeline.get(request.response_type)
        return p4r.GetForwardingPipelineConfigResponse(config=config)

    def write(self, request: Any) -> list[RpcError | None]:
        """Write; one result per update. Updates are independent of each other."""
        self._check_device(request.device_id)
        self._check_primary(request)
        loaded = self.pipeline.current
        if request.atomicity != p4r.WriteRequest.CONTINUE_ON_ERROR:
            raise RpcError(UNIMPLEMENTED, "only CONTINUE_ON_ERROR is supported, as on BMv2")
        writer = Writer(loaded.schema, loaded.executor)
        now = self.clock()
        return [self._apply(writer, update, now) for update in request.updates]

    def _apply(self, writer: Writer, update: Any, now: int) -> RpcError | None:
        forget(update.entity, self._lacks)
        return refusal(update.entity, self._lacks) or writer.apply(update, now)

    def time(self) -> int:
        """What the program's clock says, in microseconds; 0 without a program."""
        executor = self.switch.executor
        return executor.time(self.clock()) if executor else 0

    def read(self, request: Any, keys: Sequence[Key] | None = None) -> Iterator[Any]:
        """Read; answers hold at most some thousand entities each. May raise `RpcError`.

        With `keys`, only these cells of whole registers: see `cells.wanted`.
        """
        self._check_device(request.device_id)
        loaded = self.pipeline.current
        reader = Reader(loaded.schema, loaded.executor)
        now = self.clock()
        answer = p4r.ReadResponse()
        try:
            for wanted in request.entities:
                lacking = refusal(wanted, self._lacks)
                if lacking is not None:
                    raise lacking
                arrays = reader.arrays(wanted, keys)
                if arrays is not None:
                    if answer.entities:
                        yield answer
                        answer = p4r.ReadResponse()
                    yield from arrays
                    continue
                for entity in reader.entities(wanted, now):
                    answer.entities.append(entity)
                    if len(answer.entities) >= CHUNK_ENTITIES:
                        yield answer
                        answer = p4r.ReadResponse()
        except StateError as exc:
            raise RpcError.of(exc) from exc
        yield answer

    def capabilities(self) -> Any:
        """Capabilities."""
        return p4r.CapabilitiesResponse(p4runtime_api_version=API_VERSION)

    # --- streams ---------------------------------------------------------------------------

    def stream_message(self, stream: Stream, message: Any) -> None:
        """Handle a message of a stream; an `RpcError` means that the stream must end."""
        match message.WhichOneof("update"):
            case "arbitration":
                notices = self.arbitration.arbitrate(stream.client, message.arbitration)
                self._streams[stream.client] = stream
                self._notify(notices)
            case "packet":
                self._packet_out(stream, message.packet)
            case "digest_ack":
                self._digest_ack(stream, message.digest_ack)
            case kind:
                self._stream_error(stream, INVALID_ARGUMENT, f"message '{kind}' is unknown")

    def stream_closed(self, stream: Stream) -> None:
        """A stream has ended; the pipeline stays as it is."""
        self._streams.pop(stream.client, None)
        self._notify(self.arbitration.leave(stream.client))

    def _notify(self, notices: Sequence[tuple[Client, Any]]) -> None:
        for client, message in notices:
            stream = self._streams.get(client)
            if stream is not None and not stream.offer(message):
                self.counts["arbitration_dropped"] += 1

    def _is_primary(self, stream: Stream) -> bool:
        client = stream.client
        return client.joined and self.arbitration.primary(client.role) is client

    def _stream_error(self, stream: Stream, code: int, text: str, packet: Any = None) -> None:
        self.counts["stream_errors"] += 1
        message = p4r.StreamMessageResponse()
        message.error.canonical_code = code
        message.error.message = text
        message.error.space = SPACE
        if packet is not None:
            message.error.packet_out.packet_out.CopyFrom(packet)
        stream.offer(message)

    def _packet_out(self, stream: Stream, packet: Any) -> None:
        if not self._is_primary(stream):
            self._stream_error(stream, PERMISSION_DENIED, "not primary", packet)
            return
        try:
            frame = packet_out(packet, self.pipeline.current.schema.packet_out)
        except RpcError as exc:
            self._stream_error(stream, exc.code, exc.message, packet)
            return
        self.counts["packet_outs"] += 1
        self.switch.receive(self.switch.cpu_port, frame, self.clock())

    def _digest_ack(self, stream: Stream, ack: Any) -> None:
        loaded = self.pipeline.loaded
        info = loaded.schema.digests.get(ack.digest_id) if loaded else None
        if loaded is None or info is None or not self._is_primary(stream):
            return
        loaded.executor.state.digests[info.learn_id].ack(ack.list_id)

    # --- what the data plane sends (switch.Listener) ---------------------------------------

    def packet_in(self, frame: bytes) -> None:
        """A frame for the controller."""
        loaded = self.pipeline.loaded
        part = packet_in(frame, loaded.schema.packet_in) if loaded else None
        if part is None:
            self.counts["packet_ins_malformed"] += 1
            return
        self._to_primary(p4r.StreamMessageResponse(packet=part), "packet_ins")

    def digest(self, digest: DigestList) -> None:
        """A digest list for the controller."""
        loaded = self.pipeline.loaded
        if loaded is None:
            return
        for info in loaded.schema.digests.values():
            if info.name == digest.digest:
                part = digest_message(info, digest.samples, digest.list_id, digest.timestamp_ns)
                self._to_primary(p4r.StreamMessageResponse(digest=part), "digests")

    def idle(self, table: str, entries: Sequence[Entry], now: int) -> None:
        """Idle entries for the controller."""
        loaded = self.pipeline.loaded
        if loaded is None:
            return
        info = next((t for t in loaded.schema.tables.values() if t.name == table), None)
        if info is None:
            return
        for start in range(0, len(entries), CHUNK_ENTITIES):
            message = p4r.StreamMessageResponse()
            part = message.idle_timeout_notification
            part.timestamp = now
            for entry in entries[start : start + CHUNK_ENTITIES]:
                item = part.table_entry.add()
                item.table_id = info.id
                entry_codec.write_matches(info, entry, item)
                item.controller_metadata = entry.controller_metadata
                item.metadata = entry.metadata
                item.idle_timeout_ns = entry.idle_timeout_ns
            self._to_primary(message, "idle_notifications")

    def _to_primary(self, message: Any, what: str) -> None:
        client = self.arbitration.primary()
        stream = self._streams.get(client) if client is not None else None
        if stream is None:
            self.counts[f"{what}_without_primary"] += 1
        elif stream.offer(message):
            self.counts[what] += 1
        else:
            self.counts[f"{what}_dropped"] += 1
