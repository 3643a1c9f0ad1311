"""The torture test messages of RFC 4475, as its appendix has them, through the ALG.

`rfc4475.json` has the lines of each by its name there; characters are bytes (Latin-1).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.alg.sip.harness import TCP, UDP, Line, world

MESSAGES: dict[str, bytes] = {
    name: "\r\n".join(lines).encode("latin-1")
    for name, lines in json.loads(Path(__file__).with_name("rfc4475.json").read_text()).items()
}
PHONE = "10.0.0.11:5060"
VALID = {
    *("wsinv", "intmeth", "esc01", "escnull", "esc02", "lwsdisp", "longreq", "dblreq", "semiuri"),
    *("transports", "mpart01", "unreason", "noreason"),
}
"""Section 3.1.1: every element should take them for well-formed."""
REFUSED = {
    "badinv01": "bad-via",
    "baddn": "no-end",
    "badvers": "not-sip",
    "bigcode": "not-sip",
    "clerr": "short-body",
    "insuf": "missing-header",
    "ltgtruri": "not-sip",
    "lwsruri": "not-sip",
    "lwsstart": "not-sip",
    "mcl01": "twice",
    "mismatch01": "bad-cseq",
    "mismatch02": "bad-cseq",
    "multi01": "twice",
    "ncl": "bad-length",
    "scalar02": "bad-cseq",
    "scalarlg": "bad-cseq",
    "trws": "not-sip",
}
"""Of the others, those that different programs may read differently. The rest is for the ends."""


def test_all_messages_of_the_RFC_are_there() -> None:
    assert len(MESSAGES) == 49
    assert VALID | REFUSED.keys() <= MESSAGES.keys()
    assert not VALID & REFUSED.keys()


@pytest.mark.parametrize("outward", [True, False], ids=["out", "in"])
@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_S1_G9_a_torture_message_passes_unchanged_or_is_refused(name: str, outward: bool) -> None:
    data = MESSAGES[name]
    line = Line(*world(), PHONE)
    got = line.out(data) if outward else line.back(data)
    if name in REFUSED:
        assert (got, line.refusals()) == (b"", [REFUSED[name]])
    else:
        # None of them names the inside host, so that nothing is to be translated.
        assert (got, line.refusals()) == (data, [])
    assert line.nat.media() == set()


@pytest.mark.parametrize("name", sorted(VALID - {"dblreq"}))
def test_S1_a_valid_torture_message_passes_on_TCP_cut_anywhere(name: str) -> None:
    data = MESSAGES[name]
    line = Line(*world(), PHONE, proto=TCP)
    assert b"".join(line.out(data[at : at + 7]) for at in range(0, len(data), 7)) == data


def test_S1_of_two_requests_in_a_datagram_the_receiver_sees_what_was_sent() -> None:
    """Section 3.1.1.8: what is behind the first is ignored, and opens nothing."""
    line = Line(*world(), PHONE, proto=UDP)
    assert line.out(MESSAGES["dblreq"]) == MESSAGES["dblreq"]
    assert line.calls.calls == {}
    assert line.nat.media() == set()
