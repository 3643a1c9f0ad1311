"""What happens is told as records, each with who it is about and why, and only to who listens."""

from __future__ import annotations

import random
from typing import Any

from p4alg.alg.contract import Peer
from p4alg.engine import events as ev
from p4alg.engine import tables as t
from p4alg.engine.actions import Action, EventRecord
from p4alg.engine.engine import Engine
from p4alg.engine.organisations import Organisations
from p4alg.engine.tables import FlowKey
from tests.unit.engine.dialogue import PORT, Dialogue
from tests.unit.engine.harness import INSIDE, REMOTE, TCP, Bench, datagram, segment, settings
from tests.unit.engine.tenants import organisation


class Heard(Bench):
    """A bench that listens."""

    def __init__(self, engine: Organisations | None = None, **changes: Any) -> None:
        self.told: list[EventRecord] = []
        made = engine or Organisations((settings(**changes),), random.Random(1))
        made.hear()
        handle = made.handle

        def listening(event: ev.Event, now: float) -> Any:
            return self._heard(handle(event, now))

        made.handle = listening  # type: ignore[method-assign]
        super().__init__(engine=made)  # type: ignore[arg-type]

    def _heard(self, actions: Any) -> Any:
        self.told += [action for action in actions if isinstance(action, EventRecord)]
        return actions

    def clear(self, what: str) -> None:
        _, actions = self.engine.clear(what, lambda _row: True, self.now)
        self.perform(self._heard(actions))

    def words(self, kind: str) -> list[tuple[str, str]]:
        return [(record.event, record.reason) for record in self.told if record.kind == kind]


def greeted(bench: Bench) -> Dialogue:
    dialogue = Dialogue(bench, Peer.CLIENT)
    dialogue.server(b"220 hi\r\n")
    return dialogue


def test_a_session_is_told_when_it_stands_and_when_it_ends_with_the_reason() -> None:
    made = Heard()
    made.new(datagram(INSIDE, 500, REMOTE, 53))
    (opened,) = [record for record in made.told if record.kind == "session"]
    (row,) = made.show("sessions")
    ends = (row["inside"], row["outside"], row["remote"])
    assert opened == EventRecord("session", "opened", "", "udp", *ends)
    made.event(ev.SessionIdle(next(iter(made.sessions()))))
    assert made.words("session") == [("opened", ""), ("ended", "idle")]


def test_a_session_that_was_cleared_or_refused_says_so() -> None:
    made = Heard()
    made.new(datagram(INSIDE, 500, REMOTE, 53))
    made.clear("sessions")
    made.refuses = lambda update: isinstance(update.entry, t.Session)
    made.new(datagram(INSIDE, 500, REMOTE, 53))
    assert made.words("session") == [("opened", ""), ("ended", "cleared"), ("failed", "full")]


def test_a_pinhole_is_told_from_its_opening_to_its_use() -> None:
    made = Heard()
    greeted(made).client(PORT)
    (hole,) = made.of(t.PinholeEntry)
    (opened,) = [record for record in made.told if record.kind == "pinhole"]
    assert (opened.event, opened.alg, opened.label) == ("opened", "ftp", "ftp PORT")
    assert (opened.inside, opened.remote) == ("10.0.0.11:51210", "198.51.100.11:*")
    made.event(ev.PinholeHit(FlowKey(TCP, INSIDE, 51210, REMOTE, 20), hole.pinhole_id))
    (hit,) = [record for record in made.told if record.event == "hit"]
    assert hit.remote == "198.51.100.11:20"
    assert made.words("pinhole") == [("opened", ""), ("hit", ""), ("closed", "used-up")]
    assert made.words("session")[-1] == ("opened", "")


def test_a_pinhole_that_nobody_used_says_why_it_closed() -> None:
    made = Heard()
    dialogue = greeted(made)
    dialogue.client(PORT)
    made.tick(100.0)
    dialogue.client(b"PORT 10,0,0,11,200,11\r\n")
    made.clear("pinholes")
    assert made.words("pinhole") == [
        *(("opened", ""), ("closed", "expired"), ("opened", ""), ("closed", "withdrawn")),
    ]


def test_a_refused_message_is_told_with_its_reason() -> None:
    made = Heard()
    greeted(made).client(b"PORT 10,0,0,99,200,10\r\n")
    (record,) = [record for record in made.told if record.kind == "alg"]
    assert (record.event, record.reason, record.alg) == ("refused", "bounce", "ftp")
    assert record.remote == "198.51.100.11:21"
    assert "10.0.0.99:51210" in record.text


def test_blocks_are_told_with_their_ports() -> None:
    made = Heard()
    made.punt(ev.Reason.SUBSCRIBER, segment(INSIDE, 5000, REMOTE, 80))
    (record,) = [record for record in made.told if record.kind == "block"]
    assert (record.event, record.inside) == ("taken", "10.0.0.11")
    (row,) = [row for row in made.show("subscribers") if row["address"] == record.inside]
    assert (record.text, record.outside) == (f"ports {row['blocks'][0]}", row["outside"])
    (block,) = made.of(t.Block)
    made.event(ev.SubscriberIdle(INSIDE))
    made.event(ev.BlockIdle(block.outside_addr, block.outside_id))
    assert [word for word, _ in made.words("block")] == ["taken", "returned"]


def test_a_record_says_whose_it_is() -> None:
    engine = Organisations((organisation("red"), organisation("blue")), random.Random(1))
    made = Heard(engine)
    for port in (1, 5):
        made.introduce(INSIDE, port)
        made.punt(ev.Reason.NEW_FLOW, segment(INSIDE, 501, REMOTE, 80), port)
        made.punt(ev.Reason.NEW_FLOW, segment(INSIDE, 501, REMOTE, 80), port)
    assert {r.organisation for r in made.told if r.kind == "session"} == {"red", "blue"}


def test_without_a_listener_nothing_is_told() -> None:
    made = Bench(engine=Engine(settings(), random.Random(1)))
    made.introduce(INSIDE)
    frame = datagram(INSIDE, 500, REMOTE, 53)
    actions: list[Action] = list(
        made.engine.handle(ev.PacketIn(1, ev.Reason.NEW_FLOW, 0, False, frame), made.now)
    )
    assert actions
    assert not any(isinstance(action, EventRecord) for action in actions)
