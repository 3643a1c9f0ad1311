"""Feeds the same packets to BMv2 and to the embedded switch and reports what differs.

To be run in a network namespace of its own, in which `swN`/`hostN` are veth pairs for the ports
1 to 4: `python -m softswitch.bmv2_compare SEED COUNT`. Prints one JSON object.

Both switches get the same P4Runtime messages. After each packet a sentinel is sent in by port 4,
which both flood to all other ports and the CPU; queues are in order per port, so what came before
the sentinel is all there is. Sentinels go out twice, for packets that take another round.
"""

from __future__ import annotations

import json
import queue
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

from p4softswitch.p4rt.proto import p4r, p4r_grpc

from .helpers import Bench, config, csum, ethernet, ipv4, udp, update

PORTS = (1, 2, 3)
SENTINEL_PORT = 4
CPU = 510
SENTINEL_MAC = 0xFFFFFFFFFFFE
SENTINEL_TYPE = 0x88B5
MAGIC = bytes.fromhex("feedc0defeedc0de")
ELECTION = p4r.Uint128(low=1)
Outputs = dict[int, list[str]]


def entries(bench: Bench, rng: random.Random) -> list[Any]:
    """Table entries, groups and sessions; those that hold for every seed come first."""

    def group(number: int, ports: tuple[int, ...]) -> Any:
        entry = p4r.PacketReplicationEngineEntry()
        entry.multicast_group_entry.multicast_group_id = number
        for port in ports:
            entry.multicast_group_entry.replicas.add(egress_port=port, instance=1)
        return update("INSERT", packet_replication_engine_entry=entry)

    def table(*args: Any, **fields: Any) -> Any:
        return update("INSERT", table_entry=bench.table_entry(*args, **fields))

    def flood(mac: int, number: int) -> Any:
        key = {1: ("exact", {"value": mac.to_bytes(6, "big")})}
        return table("dmac", "flood", (bytes([number]),), match=key)

    clone = p4r.PacketReplicationEngineEntry()
    clone.clone_session_entry.session_id = 7
    for port in (CPU, 3):
        clone.clone_session_entry.replicas.add(egress_port=port, instance=1)
    updates = [
        group(1, PORTS),
        group(9, (*PORTS, CPU)),
        update("INSERT", packet_replication_engine_entry=clone),
        flood(0xFFFFFFFFFFFF, 1),
        flood(SENTINEL_MAC, 9),
        *(update("INSERT", table_entry=bench.dmac(mac, mac)) for mac in PORTS),
        table(
            "smac",
            "known",
            match={1: ("exact", {"value": b"\1"}), 2: ("exact", {"value": b"\1"})},
        ),
    ]
    for i in range(12):
        action = rng.choice(["permit", "deny", "punt", "again", "around"])
        # Entries for packets other than IPv4 must let the sentinels pass.
        is_ip = rng.random() < 0.8 or action not in ("permit", "punt")
        match: dict[int, Any] = {3: ("exact", {"value": bytes([is_ip])})}
        if rng.random() < 0.7:
            match[1] = ("ternary", _ternary(rng, 0x0A000000 | rng.randrange(8), 0xFF000007))
        if rng.random() < 0.4:
            match[2] = ("lpm", {"value": b"\x0a\0\0\0", "prefix_len": rng.choice([8, 16, 28])})
        if rng.random() < 0.5:
            match[4] = ("optional", {"value": bytes([rng.choice([6, 17])])})
        # Without this, packets would be resubmitted for ever.
        match[5] = ("ternary", {"value": b"\0", "mask": b"\xff"})
        args: tuple[bytes, ...] = (bytes([rng.randrange(128)]),) if action == "punt" else ()
        updates.append(table("acl", action, args, match=match, priority=i + 1))
    for i in range(6):
        length = rng.choice([8, 24, 30, 32])
        value = (0x0A000000 | rng.randrange(8) << 2) >> (32 - length) << (32 - length)
        key = {1: ("lpm", {"value": value.to_bytes(4, "big"), "prefix_len": length})}
        args = (rng.randbytes(6), bytes([rng.choice(PORTS)]))
        updates.append(table("routes", "route", args, match=key))
        low = rng.randrange(990, 1010)
        key = {1: ("range", {"low": low.to_bytes(2, "big"), "high": (low + 9).to_bytes(2, "big")})}
        if rng.random() < 0.5:
            key[3] = ("ternary", {"value": b"\x10", "mask": b"\xf0"})
        updates.append(table("classify", "set_class", (bytes([i + 1]),), match=key, priority=i + 1))
    return updates


def _ternary(rng: random.Random, value: int, mask: int) -> dict[str, bytes]:
    return {"value": (value & mask).to_bytes(4, "big"), "mask": mask.to_bytes(4, "big")}


def frame(rng: random.Random) -> bytes:
    """A packet, most often well-formed, sometimes broken in one of many ways."""
    src, dst = (0x0A000000 | rng.randrange(40) for _ in range(2))
    data = rng.randbytes(rng.choice([0, 1, 10, 33, 100, 1000]))
    protocol = 17
    if rng.random() < 0.75:
        ports = {"sport": rng.randrange(990, 1020), "dport": rng.choice([53, 7777, 7778])}
        body = udp(data, src=src, dst=dst, zero_checksum=rng.random() < 0.2, **ports)
    else:
        protocol, body = rng.choice([1, 6, 17, 47]), data
    packet = bytearray(
        ipv4(
            body,
            src=src,
            dst=dst,
            protocol=protocol,
            ttl=rng.choice([0, 1, 2, 8, 9, 64]),
            tos=rng.choice([0, 0x10, 0x20, 0x2E]),
            options=rng.randbytes(4 * rng.choice([0, 0, 0, 1, 5, 10])),
            bad_checksum=rng.random() < 0.1,
            ident=rng.randrange(65536),
        )
    )
    roll = rng.random()
    if roll < 0.05:
        packet[0] = rng.randrange(256)  # any version and header length
    elif roll < 0.1:
        packet[6:8] = struct.pack(">H", rng.randrange(65536))  # a fragment
        packet[10:12] = bytes(2)
        packet[10:12] = struct.pack(">H", csum(bytes(packet[: (packet[0] & 15) * 4])))
    ethertype, payload = 0x0800, bytes(packet)
    for _ in range(rng.choice([0, 0, 0, 0, 1, 2, 3])):
        payload = struct.pack(">HH", rng.randrange(65536), ethertype) + payload
        ethertype = 0x8100
    if rng.random() < 0.05:
        ethertype, payload = 0x9000, data
    dmac = rng.choice([1, 2, 3, 3, 9, 0xFFFFFFFFFFFF])
    whole = ethernet(payload, dmac, rng.choice([1, 2, 77]), ethertype)
    # Linux itself drops frames that end inside their VLAN tags.
    if rng.random() < 0.1 and len(whole) > 26:
        return whole[: rng.randrange(26, len(whole) + 1)]
    return whole if len(whole) > 26 else whole + bytes(26)


class Bmv2:
    """A `simple_switch_grpc` on the namespace's interfaces, as P4Runtime target."""

    def __init__(self) -> None:
        ports = [a for n in (*PORTS, SENTINEL_PORT) for a in ("-i", f"{n}@sw{n}")]
        address = "127.0.0.1:19559"
        command = ["simple_switch_grpc", "--no-p4", "--device-id", "1", "--log-level", "off"]
        command += [*ports, "--", "--grpc-server-addr", address, "--cpu-port", str(CPU)]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.channel = grpc.insecure_channel(address)
        grpc.channel_ready_future(self.channel).result(timeout=30)
        self.stub: Any = p4r_grpc.P4RuntimeStub(self.channel)
        self.requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.packets: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.digests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.stream = self.stub.StreamChannel(iter(self.requests.get, None))
        threading.Thread(target=self._receive, daemon=True).start()
        self.sockets = {}
        for n in (*PORTS, SENTINEL_PORT):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
            s.setsockopt(263, 8, 1)  # PACKET_AUXDATA
            s.bind((f"host{n}", 3))
            self.sockets[n] = s

    def _receive(self) -> None:
        try:
            for message in self.stream:
                if message.HasField("packet"):
                    self.packets.put(message.packet)
                elif message.HasField("digest"):
                    self.digests.put(message.digest)
        except grpc.RpcError:
            return

    def close(self) -> None:
        self.requests.put(None)
        self.stream.cancel()
        self.channel.close()
        self.process.terminate()
        self.process.wait(10)

    def collect(self, marker: bytes) -> Outputs:
        """Everything that came out up to the sentinel with this marker."""
        got: Outputs = {n: [] for n in (*PORTS, CPU)}
        missing = set(got)
        deadline = time.monotonic() + 10
        while missing:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no sentinel on {missing}")
            ready, _, _ = select.select([self.sockets[n] for n in PORTS], [], [], 0.0005)
            for n in PORTS:
                if self.sockets[n] in ready:
                    data = receive(self.sockets[n])
                    if marker in data:
                        missing.discard(n)
                    elif MAGIC not in data:
                        got[n].append(data.hex())
            while not self.packets.empty():
                packet = self.packets.get()
                if marker in packet.payload:
                    missing.discard(CPU)
                elif MAGIC not in packet.payload:
                    got[CPU].append(describe(packet))
        return got


def receive(s: socket.socket) -> bytes:
    data, extra, _, _ = s.recvmsg(65535, 64)
    for _, kind, value in extra:
        if kind == 8 and struct.unpack_from("I", value)[0] & 16:
            tci = struct.unpack_from("H", value, 16)[0]
            return data[:12] + struct.pack(">HH", 0x8100, tci) + data[12:]
    return data


def describe(packet: Any) -> str:
    metadata = {m.metadata_id: m.value.hex() for m in packet.metadata}
    return f"{sorted(metadata.items())} {packet.payload.hex()}"


def connect(bench: Bench, bmv2: Bmv2, message: Any) -> None:
    """Become primary of both switches and load a program."""
    hello = p4r.StreamMessageRequest()
    hello.arbitration.device_id = 1
    hello.arbitration.election_id.low = 1
    bmv2.requests.put(hello)
    bench.controller.arbitrate()
    push = p4r.SetForwardingPipelineConfigRequest(
        device_id=1,
        election_id=ELECTION,
        action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
        config=message,
    )
    for attempt in range(50):  # the answer to the arbitration is not waited for
        try:
            bmv2.stub.SetForwardingPipelineConfig(push)
            break
        except grpc.RpcError:
            if attempt == 49:
                raise
            time.sleep(0.1)
    bench.device.set_pipeline(push)


def write_both(bench: Bench, bmv2: Bmv2, updates: list[Any]) -> tuple[int, str | None]:
    """How many updates both refused, and the first that only one of them did."""
    refused = 0
    for one in updates:
        write = p4r.WriteRequest(device_id=1, election_id=ELECTION, updates=[one])
        try:
            bmv2.stub.Write(write)
            theirs = True
        except grpc.RpcError:
            theirs = False
        ours = bench.device.write(write) == [None]
        if ours is not theirs:
            return refused, f"entry taken by {'us' if ours else 'BMv2'} alone: {one}"
        refused += not ours
    return refused, None


def state_of(read: Any, counter_ids: list[int]) -> list[str]:
    """All entries with their counters, and these indirect counters."""
    request = p4r.ReadRequest(device_id=1)
    request.entities.add().table_entry.counter_data.packet_count = 0
    for counter_id in counter_ids:
        request.entities.add().counter_entry.counter_id = counter_id
    found = [e for answer in read(request) for e in answer.entities]
    for entity in found:
        if entity.HasField("table_entry"):
            entity.table_entry.is_const = False  # BMv2 does not say
    return sorted(map(str, found))


def states_differ(bench: Bench, bmv2: Bmv2, counters: list[int]) -> dict[str, Any] | None:
    """What the two switches do not have in common, of `state_of`."""
    ours, theirs = (state_of(read, counters) for read in (bench.device.read, bmv2.stub.Read))
    if ours == theirs:
        return None
    return {
        "only ours": [e for e in ours if e not in theirs][:3],
        "only theirs": [e for e in theirs if e not in ours][:3],
    }


def run(compare: Callable[[int, int, Bench, Bmv2], dict[str, Any]], bench: Bench) -> None:
    """What a program of comparison does: compare by its arguments SEED and COUNT, and print."""
    bmv2 = Bmv2()
    try:
        print(json.dumps(compare(int(sys.argv[1]), int(sys.argv[2]), bench, bmv2)))
    finally:
        bmv2.close()


def compare(seed: int, count: int, bench: Bench, bmv2: Bmv2) -> dict[str, Any]:
    rng = random.Random(seed)
    connect(bench, bmv2, config())
    refused, complaint = write_both(bench, bmv2, entries(bench, rng))
    if complaint:
        return {"different": complaint}
    totals = {"packets": 0, "outputs": 0, "packet_ins": 0, "refused": refused}
    for number in range(count):
        sent, ours = one_packet(rng, bench, bmv2)
        theirs: dict[int, list[str]] = {n: [] for n in (*PORTS, CPU)}
        for again in range(2):
            marker = MAGIC + struct.pack(">Q", number * 2 + again)
            sentinel = ethernet(marker + bytes(40), SENTINEL_MAC, 0x99, SENTINEL_TYPE)
            bmv2.sockets[SENTINEL_PORT].send(sentinel)
            for n, found in bmv2.collect(marker).items():
                theirs[n] += found
            bench.receive(SENTINEL_PORT, sentinel)
            bench.controller.take("packet")
        if ours != theirs:
            return {
                "different": {"packet": number, "in": sent, "ours": ours, "theirs": theirs},
                **totals,
            }
        totals["packets"] += 1
        totals["outputs"] += sum(len(ours[n]) for n in PORTS)
        totals["packet_ins"] += len(ours[CPU])
    counters = [bench.id_of("counters", name) for name in ("port_counter", "egress_counter")]
    different = states_differ(bench, bmv2, counters)
    compared = len(state_of(bench.device.read, counters))
    return {"different": different, "entries_compared": compared, **totals}


def one_packet(rng: random.Random, bench: Bench, bmv2: Bmv2) -> tuple[str, Outputs]:
    data = frame(rng)
    if rng.random() < 0.1:
        out = p4r.PacketOut(payload=data)
        out.metadata.add(metadata_id=1, value=bytes([rng.choice(PORTS)]))
        out.metadata.add(metadata_id=2, value=b"\0")
        bmv2.requests.put(p4r.StreamMessageRequest(packet=out))
        time.sleep(0.02)  # nothing orders the stream and the interfaces
        bench.sent.clear()
        bench.controller.send(packet=out)
        sent, port = bench.sent, CPU
    else:
        port = rng.choice(PORTS)
        bmv2.sockets[port].send(data)
        time.sleep(0.003)  # let it go round before the sentinel touches the same registers
        sent = bench.receive(port, data)
    ours: Outputs = {n: [d.hex() for p, d in sent if p == n] for n in PORTS}
    ours[CPU] = [describe(packet) for packet in bench.controller.take("packet")]
    return f"port {port}: {data.hex()}", ours


if __name__ == "__main__":
    run(compare, Bench(load=False))
