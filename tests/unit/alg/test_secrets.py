"""Passwords and keys in control messages are shown to nobody."""

import pytest

from p4alg.alg.registry import algs

SECRET = b"s3cret"
FTP = [
    b"PASS %s",
    b"pass  %s",
    b"ACCT %s\r\n",
    b"USER a\r\nPASS %s\r\n",
    b"ADAT %s\r\n",
    b"SITE PSWD %s\r\n",
]
SIP = [
    b'REGISTER sip:a SIP/2.0\r\nAuthorization: Digest username="a",\r\n response="%s"\r\nVia: x',
    b"A: b\r\nproxy-authorization  :Basic %s\r\nTo: x\r\n",
    b"A: b\nAuthorization: Basic x\r%s\nTo: x\r\n",
    b"INVITE sip:alice:%s@198.51.100.11 SIP/2.0\r\n",
    b"To: <sips:alice:%s@198.51.100.11>\r\n",
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:%s|2^20\r\n",
    b"k=base64:%s\r\n",
    b"a=ice-pwd:%s\r\n",
]
RTSP = [
    b"DESCRIBE rtsp://a:%s@198.51.100.11/ RTSP/1.0\r\n",
    b"PLAY x\r\nAuthorization: Basic %s\r\n\r\n",
]


@pytest.mark.parametrize(
    ("alg", "message"),
    [
        (name, text)
        for name, texts in (("ftp", FTP), ("sip", SIP), ("rtsp", RTSP))
        for text in texts
    ],
)
def test_G3_secrets_are_hidden_and_nothing_else(alg: str, message: bytes) -> None:
    shown = algs()[alg].hidden(message % SECRET)
    assert SECRET not in shown
    assert b"***" in shown
    assert shown.split(b"***")[0] == (message % SECRET)[: shown.index(b"***")]


@pytest.mark.parametrize(
    "message",
    [b"PORT 10,0,0,11,200,1\r\n", b"PASV\r\n", b"CWD PASS word\r\n"],
)
def test_G3_other_commands_are_shown(message: bytes) -> None:
    assert algs()["ftp"].hidden(message) == message


def test_G3_addresses_in_SIP_are_shown() -> None:
    message = b'INVITE sip:bob@198.51.100.11:5060;x=a@b SIP/2.0\r\nTo: "x" <sip:a@b:5060>\r\n'
    assert algs()["sip"].hidden(message) == message


def test_G3_an_ALG_without_secrets_shows_all() -> None:
    assert algs()["tftp"].hidden(b"PASS x") == b"PASS x"
