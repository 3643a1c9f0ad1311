"""What every PTF test shares: the P4Runtime connection, entries, packets.

One connection and one pipeline push serve all tests of a run; each test leaves
the tables as empty as it found them.
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import queue
import threading
import time
from pathlib import Path

import p4runtime_sh.shell as sh
from p4.v1 import p4runtime_pb2
from p4runtime_sh.shell import FwdPipeConfig
from ptf import testutils
from ptf.base_tests import BaseTest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether

from program import Drop, FilterMode, Punt, SessionFlags, Side
from program import PacketOutFlags as Out

ROUTER = "02:00:00:00:00:aa"
HOST = "02:00:00:00:00:01"
SERVER = "02:00:00:00:00:02"
INSIDE, OUTSIDE = 1, 2
CLIENT_IP, SERVER_IP, POOL_IP = "10.0.0.2", "198.51.100.9", "203.0.113.1"
MTU = 1500
TCP_PROTO, UDP_PROTO, ICMP_PROTO = 6, 17, 1
WAIT = 3.0
"""Seconds to wait for what must come."""

_connected = False
_numbers = itertools.count(1)


def _connect() -> None:
    global _connected
    if _connected:
        return
    parameters = testutils.test_params_get()
    folder = Path(parameters["artifacts"])
    config = FwdPipeConfig(str(folder / "p4alg.p4info.txtpb"), str(folder / "p4alg.json"))
    sh.setup(1, parameters["grpc"], (0, 1), config=config, verbose=False)
    for digest in ("tcp_event_t", "pinhole_hit_t"):
        wanted = sh.DigestEntry(digest)
        wanted.max_list_size = 1
        wanted.insert()
    # The shell's stream thread keeps the process alive, and is joined before any
    # atexit function runs: end it as soon as the main thread is done.
    threading.Thread(target=_teardown_after_main).start()
    _connected = True


def _teardown_after_main() -> None:
    threading.main_thread().join()
    sh.teardown()


def new_number():
    """A number of a subscriber or a pinhole that no test had before.

    Registers outlive tests, tables do not.
    """
    return next(_numbers)


def fresh(packet):
    """The packet as a wire would carry it: lengths and checksums computed."""
    return packet.__class__(bytes(packet))


class GatewayTest(BaseTest):
    """A gateway with one inside port, one outside port, and routes to both.

    `number` is the client's subscriber number, which no other test has.
    """

    def setUp(self):
        super().setUp()
        self.dataplane = testutils.ptf.dataplane_instance
        self.dataplane.flush()
        _connect()
        self._entries = []
        # A clean-up is done even if setting up fails, and so spoils no other test.
        self.addCleanup(self._remove_entries)
        self._drain()
        self.number = new_number()
        for port, side in ((INSIDE, Side.INSIDE), (OUTSIDE, Side.OUTSIDE)):
            self.add("port_zone", {"port": port, "vlan_id": 0}, "set_zone", zone=port, side=side,
                     mac=ROUTER)  # fmt: skip
        self.add("source", {"zone": INSIDE, "src_addr": "10.0.0.0/8"}, "accept_source")
        self.add("source", {"zone": OUTSIDE}, "accept_source")
        self.add("route", {"addr": "10.0.0.0/8"}, "via", next_hop=1)
        self.add("route", {"addr": "198.51.100.0/24"}, "via", next_hop=2)
        for hop, port, mac in ((1, INSIDE, HOST), (2, OUTSIDE, SERVER)):
            self.add("next_hop", {"next_hop": hop}, "leave", port=port, vlan_id=0,
                     src_mac=ROUTER, dst_mac=mac, mtu=MTU)  # fmt: skip

    def _remove_entries(self):
        for entry in reversed(self._entries):
            entry.delete()

    def _drain(self):
        for waiting in sh.client.stream_in_q.values():
            while not waiting.empty():
                waiting.get_nowait()

    def add(self, table, match, action, priority=0, **parameters):
        """Insert an entry that is deleted after the test; returns it.

        Where nothing else is said, it is of organisation 0 and of the client's number, and a
        pinhole is for one flow.
        """
        usual = {"organisation": 0, "subscriber": self.number, "flows": 1}
        entry = sh.TableEntry(_full_names()[table])(action=action)
        for name in _exact_fields(table) & usual.keys():
            match = {name: usual[name], **match}
        for name in _parameters(action) & usual.keys():
            parameters = {name: usual[name], **parameters}
        for name, value in match.items():
            entry.match[name] = _text(value)
        for name, value in parameters.items():
            entry.action[name] = _text(value)
        if priority:
            entry.priority = priority
        entry.insert()
        self._entries.append(entry)
        return entry

    def remove(self, entry):
        """Delete an entry before the test is over."""
        self._entries.remove(entry)
        entry.delete()

    def hits(self, entry):
        """How many packets the direct counter of an entry has seen."""
        counter = sh.DirectCounterEntry(f"{entry.name.rsplit('.', 1)[-1]}_counter")
        counter.table_entry = entry
        return next(iter(counter.read())).packet_count

    def add_mapping(self, proto, inside_id, outside_id, filter_mode=FilterMode.ADDRESS_AND_PORT,
                    managed=1, subscriber=None):  # fmt: skip
        """Map the client's endpoint to one of the pool, both ways.

        By default as the controller does for an ALG; with `managed` 0 a static mapping.
        """
        whose = {"subscriber": self.number if subscriber is None else subscriber}
        self.add("map_out", {"proto": proto, "inside_addr": CLIENT_IP, "inside_id": inside_id},
                 "set_outside", outside_addr=POOL_IP, outside_id=outside_id,
                 managed=managed, **whose)  # fmt: skip
        self.add("map_in", {"proto": proto, "outside_addr": POOL_IP, "outside_id": outside_id},
                 "set_inside", inside_addr=CLIENT_IP, inside_id=inside_id,
                 filter_mode=filter_mode, managed=managed, **whose)  # fmt: skip

    def flow(self, proto, inside_id, remote_id):
        """The oriented key of a flow between the client and the server."""
        return {"proto": proto, "inside_addr": CLIENT_IP, "inside_id": inside_id,
                "remote_addr": SERVER_IP, "remote_id": remote_id}  # fmt: skip

    def add_session(self, proto, inside_id, remote_id, alg_id=0, flags=0, watch_below=0):
        """Let a flow pass."""
        key = self.flow(proto, inside_id, remote_id)
        return self.add("session", key, "allow", alg_id=alg_id, flags=flags,
                        watch_below=watch_below)  # fmt: skip

    def send(self, port, packet):
        """Send a packet into a port of the switch."""
        testutils.send_packet(self, port, bytes(packet))

    def send_at_once(self, port, packets):
        """Send packets so fast after each other that several are in the switch at a time."""
        frames = [bytes(packet) for packet in packets]
        for frame in frames:
            testutils.send_packet(self, port, frame)

    def expect(self, port, packet):
        """Require exactly this packet out of a port."""
        testutils.verify_packet(self, bytes(packet), port, timeout=WAIT)

    def expect_in_any_order(self, port, packets):
        """Require exactly these packets, which are of different flows, out of a port."""
        missing = [bytes(packet) for packet in packets]
        while missing:
            got = testutils.dp_poll(self, port_number=port, timeout=WAIT)
            if not isinstance(got, self.dataplane.PollSuccess):
                self.fail(f"{len(missing)} packets did not come, for instance {missing[0].hex()}")
            missing = [packet for packet in missing if got.packet[: len(packet)] != packet]

    def packet_out(self, packet, port=INSIDE, flags=Out.PIPELINE):
        """Hand a packet of the controller to the switch."""
        sh.PacketOut(bytes(packet), port=str(int(port)), flags=str(int(flags))).send()

    def expect_nothing(self):
        """Require that no port gets a packet."""
        testutils.verify_no_other_packets(self, timeout=0.3)

    def _message(self, kind, what):
        """The next stream message of a kind; the test fails if none comes."""
        try:
            return sh.client.stream_in_q[kind].get(timeout=WAIT)
        except queue.Empty:
            self.fail(f"no {what} within {WAIT} s")

    def expect_punt(self, reason, packet, port=INSIDE, alg_id=0, hairpin=0, mapped_id=0):
        """Require a packet-in of this reason with the packet unchanged."""
        message = self._message("packet", f"packet-in of reason {reason}")
        values = {m.metadata_id: int.from_bytes(m.value, "big") for m in message.packet.metadata}
        assert message.packet.payload[: len(packet)] == bytes(packet)
        assert values == {1: port, 2: reason, 3: alg_id, 4: hairpin, 5: mapped_id}, values

    def expect_digest(self, *values):
        """Require a digest of one struct of these values (addresses as text), and ack it."""
        digest = self._message("digest", "digest").digest
        ack = p4runtime_pb2.StreamMessageRequest()
        ack.digest_ack.digest_id, ack.digest_ack.list_id = digest.digest_id, digest.list_id
        sh.client.stream_out_q.put(ack)
        got = [int.from_bytes(m.bitstring, "big") for m in digest.data[0].struct.members]
        assert got == [_number(value) for value in values], got

    def expect_idle(self, entry):
        """Require an idle timeout notification of exactly this entry."""
        notice = self._message("idle_timeout_notification", "idle notice")
        told = notice.idle_timeout_notification.table_entry[0]
        assert told.table_id == entry.id
        assert _matched(told) == _matched(entry.msg())

    def dropped(self, reason):
        """How many packets were dropped for a reason (a `Drop`)."""
        return _count("drop_counter", reason)

    def punted(self, reason):
        """How many packets the controller got for a reason (a `Punt`)."""
        return _count("punt_counter", reason)

    def expect_drop(self, reason, port, packet):
        """Send a packet and require that it is dropped and counted once."""
        before = self.dropped(reason)
        self.send(port, packet)
        self.wait_for_drop(reason, before)

    def wait_for_drop(self, reason, before):
        """Require that one packet more than `before` is dropped, and that nothing leaves."""
        end = time.monotonic() + WAIT
        while self.dropped(reason) == before and time.monotonic() < end:
            time.sleep(0.005)
        testutils.verify_no_other_packets(self, timeout=0.02)
        assert self.dropped(reason) - before == 1, f"not dropped for {reason!r}"


def _count(name, index):
    counter = sh.CounterEntry(name)
    counter.index = int(index)
    return next(iter(counter.read())).packet_count


@functools.cache
def _full_names():
    """The full name of each table by its short one: direct counters want the full one."""
    return {table.preamble.alias: table.name for table in sh.P4Objects(sh.P4Type.table)}


@functools.cache
def _exact_fields(table):
    """The names of the fields that every entry of a table has to give."""
    fields = sh.P4Objects(sh.P4Type.table)[_full_names()[table]].match_fields
    return {field.name for field in fields if field.match_type == field.EXACT}


@functools.cache
def _parameters(action):
    """The names of an action's parameters, by its short name."""
    found = [one for one in sh.P4Objects(sh.P4Type.action) if one.preamble.alias == action]
    return {parameter.name for parameter in found[0].params}


def _text(value):
    """A value as p4runtime-shell reads it; a member of an enumeration is its number."""
    return str(int(value)) if isinstance(value, int) else str(value)


def _matched(entry):
    """What a table entry message matches, without leading zeros (P4Runtime 8.4)."""
    fields = set()
    for field in entry.match:
        kind = getattr(field, field.WhichOneof("field_match_type"))
        values = [getattr(kind, part.name) for part in kind.DESCRIPTOR.fields]
        fields.add((field.field_id, *(_shortest(value) for value in values)))
    return fields


def _shortest(value):
    """A value of a match; a prefix length is a number already."""
    return value.lstrip(b"\0") if isinstance(value, bytes) else value


def _number(value):
    """A digest's value as a number."""
    return int(ipaddress.IPv4Address(value)) if isinstance(value, str) else int(value)


def outward(l4, **ip):
    """A packet of the client to the server, as it enters the switch; `ip` overrides."""
    return _frame(HOST, ROUTER, l4, {"src": CLIENT_IP, "dst": SERVER_IP, **ip})


def outward_translated(l4, **ip):
    """The same as it leaves: one hop on, from the pool."""
    return _frame(ROUTER, SERVER, l4, {"src": POOL_IP, "dst": SERVER_IP, **_one_hop_on(ip)})


def inward(l4, **ip):
    """A packet of the server to the pool, as it enters the switch; `ip` overrides."""
    return _frame(SERVER, ROUTER, l4, {"src": SERVER_IP, "dst": POOL_IP, **ip})


def inward_translated(l4, **ip):
    """The same as it leaves: one hop on, to the client."""
    return _frame(ROUTER, HOST, l4, {"src": SERVER_IP, "dst": CLIENT_IP, **_one_hop_on(ip)})


def _frame(from_mac, to_mac, l4, ip):
    return fresh(Ether(src=from_mac, dst=to_mac) / IP(**ip) / l4)


def _one_hop_on(ip):
    return {**ip, "ttl": ip.get("ttl", 64) - 1}


__all__ = [
    "ICMP",
    "IP",
    "TCP",
    "UDP",
    "Drop",
    "Ether",
    "FilterMode",
    "Out",
    "Punt",
    "SessionFlags",
    "Side",
]
