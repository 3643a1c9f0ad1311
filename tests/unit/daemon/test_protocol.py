"""One JSON object a line: what is not one is an expected error, never another one."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.daemon.protocol import ProtocolError, decode, encode, failure, pieces, success

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES))
def test_a_message_is_one_line_and_comes_back(message: dict[str, Any]) -> None:
    line = encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == message


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{",
        b"show algs\n",
        b'{"command": "show"} {}\n',
        b"\xff\xfe\n",
        b'{"a": "\xff"}\n',
        b'{"a": ' + b"9" * 5000 + b"}\n",
        b"[" * 60_000,
    ],
)
def test_what_is_not_json_is_refused_in_one_line(line: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"^not JSON$"):
        decode(line)


@pytest.mark.parametrize("line", [b"[]\n", b"1\n", b"null\n", b'"show"\n', b"true\n"])
def test_what_is_not_an_object_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"^not an object$"):
        decode(line)


@given(st.binary(max_size=200))
def test_bytes_never_raise_anything_else(line: bytes) -> None:
    with suppress(ProtocolError):
        assert isinstance(decode(line), dict)


def test_replies_have_the_documented_keys() -> None:
    assert success([1]) == {"ok": True, "result": [1]}
    assert failure("no", 2) == {"ok": False, "error": "no", "status": 2}


@pytest.mark.parametrize("count", [0, 1, 500, 501, 1000, 1234])
def test_a_long_reply_is_the_same_line_in_pieces(count: int) -> None:
    rows = [{"n": n, "text": '"rows":['} for n in range(count)]
    reply = success({"plain_flows": True, "note": '"rows":[', "rows": rows})
    parts = list(pieces(reply))
    assert b"".join(parts) == encode(reply)
    assert max(map(len, parts)) < 30_000


@given(st.dictionaries(st.text(), VALUES))
def test_any_other_message_is_one_piece(message: dict[str, Any]) -> None:
    assert list(pieces(message)) == [encode(message)]
