"""Rows are selected by what they say, and a selection that cannot be meant is refused."""

from __future__ import annotations

from typing import Any

import pytest

from p4alg.config.errors import UsageError
from p4alg.daemon.selection import MAX_LIMIT, end_of, parse

FTP: dict[str, object] = {
    "proto": "tcp",
    "inside": "10.0.0.11:52733",
    "outside": "203.0.113.15:1055",
    "remote": "198.51.100.11:21",
    "state": "established",
    "alg": "ftp",
    "age": 12.5,
    "expires_in": None,
}
DNS: dict[str, object] = {
    "proto": "udp",
    "inside": "10.0.1.12:5001",
    "outside": "203.0.113.9:4099",
    "remote": "198.51.100.53:53",
    "state": "active",
    "alg": "",
    "age": None,
    "expires_in": 9.0,
}
ROWS: list[dict[str, object]] = [FTP, DNS]


def chosen(**wanted: Any) -> list[dict[str, object]]:
    selection = parse("sessions", wanted)
    return selection.cut([row for row in ROWS if selection.fits(row)])


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({}, ROWS),
        ({"address": "10.0.0.11"}, [FTP]),
        ({"address": "10.0.0.0/16"}, ROWS),
        ({"address": "203.0.113.9"}, [DNS]),
        ({"address": "198.51.100.0/24:53"}, [DNS]),
        ({"address": "10.0.0.11:21"}, []),
        ({"inside": "198.51.100.11"}, []),
        ({"inside": "10.0.0.0/24"}, [FTP]),
        ({"outside": "203.0.113.15:1000-1055"}, [FTP]),
        ({"outside": "203.0.113.15:1056-2000"}, []),
        ({"remote": "198.51.100.11:21"}, [FTP]),
        ({"port": "53"}, [DNS]),
        ({"port": "20-60"}, ROWS),
        ({"proto": "TCP"}, [FTP]),
        ({"proto": "17"}, [DNS]),
        ({"alg": "FTP"}, [FTP]),
        ({"state": "active"}, [DNS]),
        ({"state": "active", "proto": "tcp"}, []),
        ({"limit": 1}, [FTP]),
        ({"limit": 0}, []),
        ({"sort": "remote"}, [FTP, DNS]),
        ({"sort": "-remote"}, [DNS, FTP]),
        ({"sort": "age"}, [DNS, FTP]),
        ({"sort": "-age", "limit": 1}, [FTP]),
    ],
)
def test_rows_are_selected_by(wanted: dict[str, Any], rows: list[dict[str, object]]) -> None:
    assert chosen(**wanted) == rows


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"address": "10.0.0.300"}, "'10.0.0.300' is not ADDRESS"),
        ({"address": "10.0.0.1/24"}, "'10.0.0.1/24' is not ADDRESS"),
        ({"address": "10.0.0.1:"}, "'' is not PORT"),
        ({"port": "a"}, "'a' is not PORT"),
        ({"port": "9-8"}, "'9-8' is not PORT"),
        ({"port": "-8"}, "'-8' is not PORT"),
        ({"port": "\u0663"}, "is not PORT"),
        ({"proto": "256"}, "no protocol"),
        ({"proto": "sctp"}, "no protocol"),
        ({"limit": -1}, "the limit"),
        ({"limit": MAX_LIMIT + 1}, "the limit"),
        ({"limit": "1"}, "the limit"),
        ({"state": 5}, "must be a text"),
        ({"state": ""}, "must be a text"),
        ({"sort": "colour"}, "cannot sort by 'colour'"),
        ({"level": "error"}, "'sessions' can be selected by address"),
        ({"__class__": "x"}, "limit only: leave out '__class__'"),
        ([], "must be an object"),
        (None, "must be an object"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(wanted: Any, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse("sessions", wanted).cut(ROWS)
    assert text in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_mapping_of_all_protocols_fits_each() -> None:
    assert parse("bindings", {"proto": "udp"}).fits({"proto": "any", "inside": "10.0.0.2"})


def test_a_pinhole_for_any_port_fits_each() -> None:
    row = {"inside": "10.0.0.2:99", "outside": "203.0.113.5:99", "remote": "198.51.100.1:*"}
    assert parse("pinholes", {"remote": "198.51.100.1:77"}).fits(row)
    assert not parse("pinholes", {"remote": "198.51.100.2:77"}).fits(row)
    assert not parse("pinholes", {"port": "77"}).fits(row)


def test_numbers_and_their_text_are_judged_alike() -> None:
    for wanted in ({"address": "10.0.0.0/16:5001"}, {"port": "53"}, {"remote": "198.51.100.11"}):
        selection = parse("sessions", wanted)
        for row, proto in ((FTP, 6), (DNS, 17)):
            inside, outside, remote = (end_of(str(row[k])) for k in ("inside", "outside", "remote"))
            assert inside is not None
            assert selection.fits_ends(proto, inside, outside, remote) == selection.fits(row)


def test_counters_are_selected_by_a_pattern_of_their_names() -> None:
    counters = {"alg.ftp.faults": 1, "alg.sip.faults": 2, "nat.sessions.opened": 3}
    assert parse("counters", {"name": "alg.*"}).names(counters) == {
        "alg.ftp.faults": 1,
        "alg.sip.faults": 2,
    }
    assert parse("counters", {"name": "*.sip.*"}).names(counters) == {"alg.sip.faults": 2}
    assert parse("counters", {"name": "alg.[fs]*"}).names(counters) == {}
    assert parse("counters", {}).names(counters) == counters


def test_algs_are_selected_by_their_own_name() -> None:
    selection = parse("algs", {"alg": "ftp"})
    assert [selection.fits({"name": name}) for name in ("ftp", "sip")] == [True, False]


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("10.0.0.1:80", (0x0A000001, 80)),
        ("10.0.0.1:*", (0x0A000001, None)),
        ("10.0.0.1", (0x0A000001, None)),
        ("", None),
        ("bob", None),
        ("1.2.3.\u0664", None),
    ],
)
def test_ends_are_read_from_cells(text: str, end: tuple[int, int | None] | None) -> None:
    assert end_of(text) == end
