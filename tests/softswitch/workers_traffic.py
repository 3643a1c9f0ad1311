"""Sends many flows through several workers at once, and tells what was not as it should be.

To be run in a namespace with the veth pairs of `PAIRS`: `python -m softswitch.workers_traffic
WORKERS PACKETS`. The program is `shared`. Prints one JSON object.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator

from p4softswitch.executor.interface import Options
from p4softswitch.executor.v1model import V1ModelExecutor
from p4softswitch.io.native import PacketIo
from p4softswitch.native.library import locked
from p4softswitch.program.bmv2_json import load_program
from p4softswitch.state.entry import Exact
from p4softswitch.state.meters import MeterConfig
from p4softswitch.state.replication import CloneSession, Replica

from .helpers import ethernet, ipv4, program_text, udp

PAIRS = (("swa", "hosta"), ("swb", "hostb"))
CPU = 510
FLOWS = 64
AHEAD = 1500
"""Frames that one host has under way at most; rings take 1024 for each of four workers."""
BURST = 1000
"""Packets that the meter lets pass; it gives no more after them."""
SESSION = 5
ROOM = 64 << 20
PROBE = struct.Struct(">IIIIQQBB")
PROBE_AT = 14 + 20 + 8


def program() -> V1ModelExecutor:
    """The program `shared`: an entry for every destination, copies for the controller."""
    executor = V1ModelExecutor(load_program(program_text("shared")), Options(seed=1))
    state = executor.state
    for last in (1, 2):
        state.tables["SharedIngress.pair"].insert(key(last), 0, action(executor), (0, 0), 0)
    state.meters["SharedIngress.limit"].configure(0, MeterConfig(0, BURST, 0, BURST), 0)
    state.replication.insert_session(CloneSession(SESSION, (Replica(CPU, 1),)))
    return executor


def key(last: int) -> tuple[Exact]:
    """The key of the entry for packets to a host."""
    return (Exact(0x0A000000 + last),)


def action(executor: V1ModelExecutor) -> int:
    """The number of the action that writes both halves."""
    actions = executor.program.actions.values()
    return next(a.id for a in actions if a.name.endswith("set_pair"))


def frames(origin: int, count: int) -> Iterator[bytes]:
    """Packets of `FLOWS` flows by turns, numbered in each flow; one in 16 is for the controller."""
    for n in range(count):
        flow = n % FLOWS
        probe = PROBE.pack(origin << 16 | flow, n // FLOWS, 0, 0, 0, 0, 0, n % 16 == 0)
        body = udp(probe, sport=1000 + flow, dport=2000 + flow * 7, zero_checksum=True)
        yield ethernet(ipv4(body, src=0x0A000000 + origin, dst=0x0A000003 - origin))


class Host:
    """The far end of a port: sends `count` packets and takes what comes from the other one."""

    def __init__(self, name: str, origin: int, count: int) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(263, 23, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, ROOM)
        self.socket.bind((name, 3))
        self.socket.setblocking(False)
        self.origin = origin
        self.frames = list(frames(origin, count))
        self.sent = 0
        self.got: list[tuple[int, ...]] = []

    def send(self, most: int) -> None:
        """Send on, but have at most `most` packets sent."""
        for frame in self.frames[self.sent : most]:
            self.socket.send(frame)
            self.sent += 1

    def drain(self) -> None:
        """Take what has come."""
        while True:
            try:
                data = self.socket.recv(2048)
            except BlockingIOError:
                return
            if len(data) >= PROBE_AT + PROBE.size and data[12:14] == b"\x08\0":
                self.got.append(PROBE.unpack_from(data, PROBE_AT))

    def lost(self) -> int:
        """Packets that this host itself had no room for."""
        return int(struct.unpack("II", self.socket.getsockopt(263, 6, 8))[1])


class Changes(threading.Thread):
    """Modifies both entries, and inserts and deletes others, until it is stopped."""

    def __init__(self, executor: V1ModelExecutor) -> None:
        super().__init__()
        self.table = executor.state.tables["SharedIngress.pair"]
        self.action = action(executor)
        self.count = 0
        self.over = False

    def run(self) -> None:
        """Both halves of what an entry says are always the same."""
        while not self.over:
            self.count += 1
            for last in (1, 2):
                self.table.modify(key(last), 0, self.action, (self.count, self.count))
            for last in range(10, 20):
                self.table.insert(key(last), 0, self.action, (1, 1), 0)
            for last in range(10, 20):
                self.table.delete(key(last), 0)


def main(workers: int, count: int) -> dict[str, int]:
    """Send `count` packets from either host."""
    executor = program()
    io = PacketIo(workers)
    stats = [io.add_port(n, name) for n, (name, _) in enumerate(PAIRS, 1)]
    io.use(executor)
    hosts = [Host(name, n, count) for n, (_, name) in enumerate(PAIRS, 1)]
    changes = Changes(executor)
    changes.start()
    io.start()
    copies = 0
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        io.count_missed()
        copies += taken(io)
        # Workers have their rings full when they may go on, and so work at the same time.
        with locked():
            for host, port in zip(hosts, stats, strict=True):
                host.send(int(port.rx_packets + port.rx_missed) + AHEAD)
        for host in hosts:
            host.drain()
        came = sum(int(p.rx_packets + p.rx_missed) for p in stats)
        went = sum(int(p.tx_packets + p.tx_dropped) for p in stats)
        if came >= 2 * count and went >= executor.stats.packets:
            break
    copies += taken(io)
    changes.over = True
    changes.join()
    for host in hosts:
        host.drain()
    found = result(executor, hosts)
    found |= {
        "sent": 2 * count,
        "missed": sum(int(p.rx_missed) for p in stats),
        "not_sent": sum(int(p.tx_dropped) for p in stats),
        "changes": changes.count,
        "copies": copies + int(io.counts.queue_overflow),
    }
    io.close()
    return found


def taken(io: PacketIo) -> int:
    """How many copies for the controller waited."""
    found = 0
    while True:
        ports = [port for _, port, _, _ in io.take()]
        found += ports.count(CPU)
        if not ports:
            return found


def result(executor: V1ModelExecutor, hosts: list[Host]) -> dict[str, int]:
    """What the program says, and what the hosts have seen."""
    got = [probe for host in hosts for probe in host.got]
    state = executor.state
    return {
        "ran": int(executor.stats.packets),
        "got": len(got),
        "not_taken": sum(host.lost() for host in hosts),
        "reordered": sum(reordered(host.got) for host in hosts),
        "tickets": len({probe[2] for probe in got}),
        "next_ticket": state.registers["SharedIngress.tickets"].read(0) or 0,
        "odd": state.registers["SharedIngress.odds"].read(0) or 0,
        "wrong_odd": sum(odd != (ticket + 1) // 2 for _, _, ticket, odd, *_ in got),
        "halves": sum(left != right for *_, left, right, _, _ in got),
        "versions": len({left for *_, left, _, _, _ in got}),
        "counted": state.counters["SharedIngress.probes"].read(0)[0],
        "green": sum(colour == 0 for *_, colour, _ in got),
        "for_controller": sum(told for *_, told in got),
    }


def reordered(got: list[tuple[int, ...]]) -> int:
    """Packets that came behind a later one of their flow."""
    last: dict[int, int] = {}
    found = 0
    for flow, number, *_ in got:
        found += number <= last.get(flow, -1)
        last[flow] = number
    return found


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
