"""The shell keeps order, and a packet leaves only after its entries are acknowledged."""

import asyncio

from p4alg.driver.shell import Shell
from p4alg.engine import events as ev
from p4alg.engine.actions import LogRecord, PacketOut, Transaction
from p4alg.engine.tables import Local, Op, Update


class FullTable:
    """A switch with room for some addresses, which writes down what it is told."""

    def __init__(self, room):
        self.room = room
        self.held = set()
        self.seen = []

    async def write(self, updates):
        refused = {}
        for index, update in enumerate(updates):
            self.seen.append((update.op.value, update.entry.addr))
            if update.op is Op.DELETE:
                self.held.discard(update.entry.addr)
            elif len(self.held) < self.room:
                self.held.add(update.entry.addr)
            else:
                refused[index] = "RESOURCE_EXHAUSTED: full"
        return refused

    async def send(self, packets):
        self.seen += [("packet", packet.frame) for packet in packets]


class Recorder:
    def __init__(self):
        self.events = []

    def handle(self, event, now):
        self.events.append(event)
        return []


def run(actions, room=1000):
    async def body():
        link, core, log = FullTable(room), Recorder(), []
        shell = Shell(core, link, lambda: 0.0, log.append)
        shell.perform(actions)
        await shell.drain()
        return link, core.events, log

    return asyncio.run(body())


def insert(*addrs):
    return tuple(Update(Op.INSERT, Local(addr)) for addr in addrs)


def test_packet_leaves_after_its_entries():
    link, events, _ = run([Transaction(1, insert(10, 11), (PacketOut(b"x"),))])
    assert link.seen == [("insert", 10), ("insert", 11), ("packet", b"x")]
    assert events == [ev.TransactionDone(1)]


def test_refused_transaction_is_undone_and_its_packet_kept_back():
    link, events, _ = run(
        [
            Transaction(1, insert(10), (PacketOut(b"one"),)),
            Transaction(2, insert(11, 12), (PacketOut(b"two"),)),
        ],
        room=2,
    )
    assert link.held == {10}
    assert ("packet", b"one") in link.seen
    assert ("packet", b"two") not in link.seen
    assert events == [
        ev.TransactionDone(1),
        ev.TransactionFailed(2, "RESOURCE_EXHAUSTED: full"),
    ]


def test_more_updates_than_a_batch_all_arrive_in_order():
    link, events, _ = run([Transaction(i, insert(*range(i * 60, i * 60 + 60))) for i in range(5)])
    assert [addr for _, addr in link.seen] == list(range(300))
    assert events == [ev.TransactionDone(i) for i in range(5)]


def test_transaction_larger_than_a_batch_is_undone_whole():
    link, events, _ = run([Transaction(1, insert(*range(250)))], room=220)
    assert link.held == set()
    assert isinstance(events[0], ev.TransactionFailed)


def test_records_go_to_the_log_and_not_to_the_switch():
    link, _, log = run([LogRecord(20, "hello"), PacketOut(b"y")])
    assert log == [LogRecord(20, "hello")]
    assert link.seen == [("packet", b"y")]
