import pytest

from p4alg.alg.ftp.command import is_command, may_be_command, telnet_length


@pytest.mark.parametrize(
    "line",
    [
        b"NOOP\r\n",
        b"pasv\r\n",
        b"PASV \r\n",
        b"XSHA256 a b\r\n",
        b"SITE CHMOD 644 a\r\n",
        "RETR grüße".encode() + b"\r\n",
        b"RETR \xff\xff\r\n",
        b"OPTS UTF8 ON\r\n",
    ],
)
def test_G7_commands_are_recognised_as_soon_as_they_come(line: bytes) -> None:
    assert is_command(line)
    assert all(may_be_command(line[:end]) for end in range(len(line)))


@pytest.mark.parametrize(
    "line",
    [
        b"\r\n",
        b" NOOP\r\n",
        b"NOOP\n",
        b"NOOP\r\r\n",
        b"NO OP\r\n",
        b"PRI * HTTP/2.0\r\n",
        b"GET / HTTP/1.1\r\n",
        b"NOOP\tx\r\n",
        b"RETR a\0\r\n",
        b"RETR a\x7f\r\n",
        b"RETR \xff\xf4\r\n",
        b"PORT: 1\r\n",
    ],
)
def test_G7_any_other_line_is_none(line: bytes) -> None:
    assert not is_command(line)


@pytest.mark.parametrize("part", [b"\x16", b"\0", b"PRI", b"NOO ", b"NOOPS", b"RETR \x01", b"\xff"])
def test_G7_what_cannot_become_a_command_is_known_before_its_line_ends(part: bytes) -> None:
    assert not may_be_command(part)


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"NOOP", 0),
        (b"\xff\xf4\xff\xf2ABOR", 4),
        (b"\xff\xfb\x06A", 3),
        (b"\xff", None),
        (b"\xff\xfb", None),
        (b"\xff\xf4\xff", 2),
        (b"\xff\xfaX", 0),
        (b"\xff\xff", 0),
        (b"", 0),
    ],
)
def test_F2_telnet_commands_before_a_line_are_measured(data: bytes, length: int | None) -> None:
    assert telnet_length(data, 0) == length
