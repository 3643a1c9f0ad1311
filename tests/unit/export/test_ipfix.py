"""Messages for IPFIX collectors, as a decoder reads them."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import pytest

from p4alg.export.ipfix import (
    BLOCK_TAKEN,
    MAX_MESSAGE,
    SESSION_CREATED,
    SESSION_DELETED,
    TEMPLATE_SECONDS,
    Block,
    Messages,
    Record,
    Session,
)
from p4alg.export.records import record_of

NOW = 1_790_000_000.25
INSIDE, OUTSIDE, REMOTE = (IPv4Address(a) for a in ("10.0.0.11", "203.0.113.5", "198.51.100.11"))
SESSION = Session(NOW, 2, SESSION_CREATED, 6, (INSIDE, 40000), (OUTSIDE, 5000), (REMOTE, 21))
BLOCK = Block(NOW, 0, BLOCK_TAKEN, INSIDE, OUTSIDE, 4096, 8191)
EVENT = {
    "time": "2026-09-21T14:13:20.250+00:00", "kind": "session", "event": "opened", "reason": "",
    "proto": "tcp", "inside": "10.0.0.11:40000", "outside": "203.0.113.5:5000",
    "remote": "198.51.100.11:21", "alg": "ftp", "label": "ftp control", "text": "",
    "organisation": "blue",
}  # fmt: skip
ORGANISATIONS = ("default", "red", "blue")


def sets(message: bytes) -> list[tuple[int, bytes]]:
    """The sets of a message: what they are, and their content (RFC 7011 section 3)."""
    version, length = struct.unpack_from("!HH", message)
    assert (version, length) == (10, len(message))
    found, at = [], 16
    while at < len(message):
        kind, size = struct.unpack_from("!HH", message, at)
        found.append((kind, message[at + 4 : at + size]))
        at += size
    return found


def sequence(message: bytes) -> int:
    number: int = struct.unpack_from("!I", message, 8)[0]
    return number


def test_the_templates_come_first_and_again_since_UDP_may_lose_them() -> None:
    messages = Messages(7)
    templates, data = messages.of([SESSION], NOW)
    ((kind, content),) = sets(templates)
    assert kind == 2
    number, count = struct.unpack_from("!HH", content)
    fields = [struct.unpack_from("!HH", content, 4 + 4 * n) for n in range(count)]
    assert (number, tuple(fields)) == (Session.TEMPLATE, Session.FIELDS)
    assert struct.unpack_from("!I", data, 12) == (7,)
    assert len(messages.of([SESSION], NOW + TEMPLATE_SECONDS - 1)) == 1
    assert len(messages.of([SESSION], NOW + TEMPLATE_SECONDS)) == 2


def test_a_record_has_the_values_of_its_template() -> None:
    _, session, block = Messages(1).of([BLOCK, SESSION], NOW)
    ((kind, content),) = sets(session)
    assert kind == Session.TEMPLATE
    size = sum(length for _, length in Session.FIELDS)
    assert content[:size] == SESSION.encode()
    assert struct.unpack_from("!QIBB", content) == (1_790_000_000_250, 2, SESSION_CREATED, 6)
    ((kind, content),) = sets(block)
    assert kind == Block.TEMPLATE
    assert content[13:25] == INSIDE.packed + OUTSIDE.packed + struct.pack("!HH", 4096, 8191)


def test_the_sequence_counts_records_and_no_message_is_too_long() -> None:
    messages = Messages(1)
    records: list[Record] = [SESSION] * 100
    found = messages.of(records, NOW)
    assert all(len(message) <= MAX_MESSAGE for message in found)
    size = sum(length for _, length in Session.FIELDS)
    told = [len(content) // size for m in found[1:] for _, content in sets(m)]
    assert sum(told) == 100
    assert [sequence(m) for m in found] == [0, *(sum(told[:n]) for n in range(len(told)))]
    assert sequence(messages.of([BLOCK], NOW)[0]) == 100


def test_an_event_of_a_session_becomes_a_record() -> None:
    assert record_of(EVENT, ORGANISATIONS) == SESSION
    ended = record_of({**EVENT, "event": "ended", "reason": "idle"}, ORGANISATIONS)
    assert isinstance(ended, Session)
    assert ended.event == SESSION_DELETED


def test_identifiers_that_are_no_ports_are_left_out() -> None:
    tunnel = record_of({**EVENT, "proto": "gre", "outside": "203.0.113.5:77"}, ORGANISATIONS)
    assert isinstance(tunnel, Session)
    assert (tunnel.protocol, tunnel.outside) == (47, (OUTSIDE, 0))


def test_an_event_of_a_block_becomes_a_record() -> None:
    event = {
        **EVENT, "kind": "block", "event": "taken", "inside": "10.0.0.11",
        "outside": "203.0.113.5", "text": "ports 4096-8191", "organisation": "",
    }  # fmt: skip
    assert record_of(event, ORGANISATIONS) == BLOCK


@pytest.mark.parametrize("kind", ["pinhole", "alg", "audit"])
def test_of_other_events_collectors_hear_nothing(kind: str) -> None:
    assert record_of({**EVENT, "kind": kind}, ORGANISATIONS) is None
    assert record_of({**EVENT, "event": "failed"}, ORGANISATIONS) is None


@pytest.mark.parametrize(
    "change",
    [{"organisation": "green"}, {"kind": "block", "event": "taken"}, {"proto": "sctp"}],
    ids=str,
)
def test_what_is_no_event_of_this_version_is_an_error(change: dict[str, str]) -> None:
    with pytest.raises((KeyError, ValueError)):
        record_of({**EVENT, **change}, ORGANISATIONS)
