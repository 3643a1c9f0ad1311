"""What the lines of a client may be, so that its connection is taken for FTP.

Browsers and other programs can be made to send bytes of somebody else's choice to any port,
within a TLS handshake, a TURN or HTTP request. So it is not looked for what is wrong. Instead
every line of the client has to be right: a known command, printable arguments, CR LF. The first
line that is not ends the reading of its connection.
"""

from __future__ import annotations

import re

_STANDARD = (
    b"ABOR ACCT ALLO APPE CDUP CWD DELE HELP LIST MKD MODE NLST NOOP PASS PASV PORT PWD QUIT REIN"
    b" REST RETR RMD RNFR RNTO SITE SMNT STAT STOR STOU STRU SYST TYPE USER"
    b" ADAT AUTH CCC CONF ENC MIC PBSZ PROT FEAT OPTS EPRT EPSV LANG MDTM MLSD MLST SIZE HOST"
)
"""RFC 959, 2228, 2389, 2428, 2640, 3659, 7151."""
_OTHERS = (
    b"XCUP XCWD XMKD XPWD XRMD LPRT LPSV ALGS AVBL CLNT COMB CPSV CSID DSIZ ESTA ESTP HASH MACB MD5"
    b" MFCT MFF MFMT MMD5 PRET RANG SPSV SSCN THMB XCRC XMD5 XSHA XSHA1 XSHA256 XSHA512"
)
"""RFC 775 and 1639, drafts, and what servers in use add to them."""
VERBS = frozenset((_STANDARD + b" " + _OTHERS).split())
"""The commands of the IANA registry (RFC 5797), and others that clients send."""
_PRINTABLE = rb"(?:[\x20-\x7e\x80-\xfe]|\xff\xff)"
"""A character of an argument: file names may be in UTF-8 or any other code. A byte 255 is
doubled (RFC 854), as a single one begins a Telnet command."""
_LINE = re.compile(rb"([A-Za-z0-9]++)(?: " + _PRINTABLE + rb"*+)?\r\n")
_PART = re.compile(rb"([A-Za-z0-9]++)(?: " + _PRINTABLE + rb"*+\xff?)?\r?")
_TELNET = re.compile(rb"(?:\xff(?:[\xf1-\xf9]|[\xfb-\xfe].))++", re.DOTALL)
_PART_OF_TELNET = re.compile(rb"\xff[\xfb-\xfe]?")


def is_command(line: bytes) -> bool:
    """Whether a whole line, with its end, is a command."""
    found = _LINE.fullmatch(line)
    return found is not None and found[1].upper() in VERBS


def may_be_command(part: bytes) -> bool:
    """Whether a line that begins like this can be a command; `part` has no line feed."""
    found = _PART.fullmatch(part)
    if found is None:
        return not part
    word = found[1].upper()
    if found.end(1) < len(part):
        return word in VERBS
    return any(verb.startswith(word) for verb in VERBS)


def telnet_length(data: bytes, at: int) -> int | None:
    """How many bytes at `at` of `data` are Telnet commands (RFC 854), which may precede a line.

    None if the last of them is not complete. Clients send Interrupt Process and Data Mark before
    an ABOR (RFC 959 section 4.1.3). Subnegotiations are not among them: nobody sends one in FTP.
    """
    found = _TELNET.match(data, at)
    end = found.end() if found else at
    if _PART_OF_TELNET.fullmatch(data, end):
        return None if end == at else end - at
    return end - at
