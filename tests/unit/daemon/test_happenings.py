"""The last events are kept, and those who follow are given the next ones."""

from __future__ import annotations

import threading
from pathlib import Path

from p4alg.daemon.client import Client
from p4alg.daemon.happenings import MAX_KEPT, Happenings
from p4alg.engine.actions import EventRecord
from tests.unit.daemon.peers import controller, served, wait_until


def test_the_last_ones_are_kept_and_made_harmless() -> None:
    happenings = Happenings()
    for number in range(MAX_KEPT + 5):
        happenings.record(EventRecord("audit", "done", text=f"{number}\x1b[2J"), "red")
    kept = happenings.kept()
    assert len(kept) == MAX_KEPT
    assert kept[0]["text"].startswith("5")
    assert "\x1b" not in kept[0]["text"]
    assert {row["organisation"] for row in kept} == {"red"}


def test_what_operators_do_is_an_event_and_a_log_line(tmp_path: Path) -> None:
    with controller(tmp_path) as path:
        client = Client(path)
        assert client.call("events") == []
        client.call("disable", name="ftp")
        client.call("clear", what="sessions", select={"inside": "10.0.0.11"})
        told = [row["text"] for row in client.call("events")]
        assert "committed revision" in told[0]
        assert "alg disable ftp" in told[0]
        assert told[1:] == ["cleared sessions: 0 (inside=10.0.0.11)"]
        assert {row["kind"] for row in client.call("events")} == {"audit"}
        logged = [row["text"] for row in client.call("show", what="events")]
        assert [f"audit: {text}" for text in told] == logged[-2:]


def test_who_follows_gets_what_comes(tmp_path: Path) -> None:
    with served(tmp_path / "control.sock") as it:
        follower = Client(it.path).follow("follow")
        first: list[dict[str, object]] = []
        thread = threading.Thread(target=lambda: first.append(next(follower)))
        thread.start()
        wait_until("a follower", lambda: it.events.wanted)
        it.publish({"not": "for me"})
        it.publish_event({"n": 1})
        thread.join(10)
        follower.close()  # type: ignore[attr-defined]
        assert first == [{"n": 1}]
