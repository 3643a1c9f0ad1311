"""The TFTP ALG (RFC 1350, 2347-2349, 7440): lets the server's answer in, and sees its end.

A client sends its request to port 69 of the server. The server answers from another
port, its transfer identifier (TID), to the port the request came from. A NAT knows nothing
of that port, so the ALG opens a pinhole for it. Messages carry no addresses, and so
nothing is rewritten.

The ALG reads the first datagrams of a transfer, where the size of a block is agreed on.
From there on it asks only for datagrams shorter than a full block, as such a one is the
last. All others cross in the switch without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from p4alg.alg.contract import (
    UDP,
    Endpoint,
    Finish,
    Forward,
    Gateway,
    Notice,
    Peer,
    PinholeRequest,
    Refusal,
    Refuse,
    SessionFacts,
    Step,
    Watch,
)
from p4alg.alg.wire import read_decimal

_MODES = (b"netascii", b"octet", b"mail")
_BLOCK = 512
_SMALLEST_BLOCK, _LARGEST_BLOCK = 8, 65464
_HEAD = 4
"""Bytes of opcode and block number: the header of DATA, and all of an ACK."""
_LONGEST_REQUEST = 512
"""RFC 2347: a request fits into 512 octets."""
_TRANSFERS = 16
"""How many transfers between one client port and one server are remembered at once."""
_OPTIONS = 16
"""The most options of a request or OACK; fewer than this have ever been defined."""


class Opcode(IntEnum):
    """RFC 1350 section 5, RFC 2347."""

    RRQ = 1
    WRQ = 2
    DATA = 3
    ACK = 4
    ERROR = 5
    OACK = 6


@dataclass(frozen=True, slots=True)
class TftpTimers:
    """Times in seconds.

    `answer` is how long the pinhole waits for the server. A transfer ends after `silence`
    seconds without a datagram. After its last block it stays for `dally` seconds, since the
    last acknowledgement may be lost and the block comes again.
    """

    answer: float = 30.0
    silence: float = 60.0
    dally: float = 5.0


@dataclass(slots=True)
class _Transfer:
    """A transfer that was asked for.

    `block` is the size of a block in bytes: first what the client asked for, and what both
    agreed on once the transfer has `begun`.
    """

    is_read: bool
    pinhole: int
    block: int
    begun: bool = False

    @property
    def sender(self) -> Peer:
        """The end that sends the blocks."""
        return Peer.SERVER if self.is_read else Peer.CLIENT


class TftpAlg:
    """The ALG of one client's port at one server; see `TransferAlg`."""

    def __init__(
        self,
        facts: SessionFacts,
        timers: TftpTimers | None = None,
    ) -> None:
        self._facts = facts
        self._timers = timers or TftpTimers()
        self._asked: _Transfer | None = None
        self._open: dict[Endpoint, _Transfer] = {}

    def receive(self, sender: Peer, data: bytes, gateway: Gateway, now: float) -> Sequence[Step]:
        """A datagram to or from port 69: a request, or an error before the transfer begins."""
        opcode = _opcode(data)
        if sender is Peer.CLIENT and opcode in (Opcode.RRQ, Opcode.WRQ):
            return [self._request(data, opcode, gateway)]
        if opcode is Opcode.ERROR:
            if self._asked is not None:
                gateway.close_pinhole(self._asked.pinhole)
                self._asked = None
            return [Forward(len(data), summary=f"ERROR {_text(data[_HEAD:])}")]
        if opcode is None:
            return [Refuse(len(data), "bad-opcode")]
        return [Refuse(len(data), "wrong-side" if opcode <= Opcode.WRQ else "no-request")]

    def _request(self, data: bytes, opcode: Opcode, gateway: Gateway) -> Step:
        name, _, rest = data[2:].partition(b"\0")
        mode, end, tail = rest.partition(b"\0")
        options = _options(tail)
        reason = ""
        if len(data) > _LONGEST_REQUEST:
            reason = "too-long"
        elif not end or options is None:
            reason = "bad-syntax"
        elif not name or any(byte < 0x20 for byte in name):
            reason = "bad-name"
        elif mode.lower() not in _MODES:
            reason = "bad-mode"
        if reason or options is None:
            return Refuse(len(data), reason, f"{opcode.name} {_text(name)}")
        grant = gateway.open_pinhole(
            PinholeRequest(
                proto=UDP,
                listener=Peer.CLIENT,
                listen=self._facts.client,
                opener_addr=self._facts.server.addr,
                opener_port=None,
                lifetime=self._timers.answer,
                label=f"tftp {opcode.name}",
                flow_idle=self._timers.silence,
                inspect=True,
            )
        )
        if isinstance(grant, Refusal):
            return Refuse(len(data), grant.reason, f"{opcode.name} {_text(name)}")
        self._asked = _Transfer(
            opcode is Opcode.RRQ, grant.number, _number(options.get(b"blksize"), _BLOCK)
        )
        summary = f"{opcode.name} {_text(name)} {_text(mode)} {_said(options)}".rstrip()
        return Forward(len(data), summary=summary, grants=(grant.number,))

    def receive_data(
        self, opener: Endpoint, sender: Peer, data: bytes, gateway: Gateway, now: float
    ) -> Sequence[Step]:
        """A datagram of a transfer: one of its first, or a short one that may be its last."""
        transfer = self._transfer_of(opener)
        opcode = _opcode(data)
        if transfer is None:
            return [Forward(len(data), is_message=False), Finish(self._timers.dally)]
        if opcode is None or len(data) < _HEAD or opcode <= Opcode.WRQ:
            return [Refuse(len(data), "bad-opcode")]
        if opcode is Opcode.ERROR:
            del self._open[opener]
            number = int.from_bytes(data[2:4], "big")
            told = Forward(len(data), summary=f"ERROR {number} {_text(data[_HEAD:])}")
            return [told, Finish(self._timers.dally)]
        if opcode is Opcode.OACK:
            return self._agreed(transfer, sender, data)
        if sender is Peer.SERVER and not transfer.begun:
            # The server did not acknowledge the options, and so none applies (RFC 2347).
            transfer.begun, transfer.block = True, _BLOCK
        if opcode is Opcode.DATA and sender is not transfer.sender:
            return [Refuse(len(data), "wrong-side")]
        passed = Forward(len(data), is_message=False)
        if opcode is Opcode.DATA and len(data) - _HEAD < transfer.block:
            size = len(data) - _HEAD
            done = Notice("finished", f"last block of the transfer, {size} bytes")
            return [passed, done, Finish(self._timers.dally)]
        return [passed, Watch(transfer.sender, _HEAD + transfer.block)]

    def _transfer_of(self, opener: Endpoint) -> _Transfer | None:
        """The transfer of a flow; a new flow is that of the last request."""
        if opener not in self._open and self._asked is not None:
            while len(self._open) >= _TRANSFERS:
                del self._open[next(iter(self._open))]
            self._open[opener], self._asked = self._asked, None
        return self._open.get(opener)

    def _agreed(self, transfer: _Transfer, sender: Peer, data: bytes) -> Sequence[Step]:
        options = _options(data[2:])
        if sender is not Peer.SERVER or options is None:
            return [Refuse(len(data), "bad-oack")]
        block = _number(options.get(b"blksize"), _BLOCK)
        if block > transfer.block:
            # RFC 2348: the server may answer with less, never with more.
            return [Refuse(len(data), "bad-oack")]
        transfer.begun, transfer.block = True, block
        told = Forward(len(data), summary=f"OACK {_said(options)}")
        return [told, Watch(transfer.sender, _HEAD + block)]


def _opcode(data: bytes) -> Opcode | None:
    number = int.from_bytes(data[:2], "big")
    return Opcode(number) if len(data) >= 2 and 1 <= number <= Opcode.OACK else None


def _options(data: bytes) -> dict[bytes, bytes] | None:
    """The options of RFC 2347 by their names in lower case.

    None if they are not pairs of a name and a value, each ended by a NUL byte.
    """
    if not data:
        return {}
    parts = data.split(b"\0")
    if parts.pop() or len(parts) % 2 or len(parts) > 2 * _OPTIONS:
        return None
    found: dict[bytes, bytes] = {}
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        if not name or name.lower() in found:
            return None
        found[name.lower()] = value
    return found


def _number(value: bytes | None, default: int) -> int:
    """A block size of RFC 2348 (8 to 65464), or `default` if `value` is none."""
    number = None if value is None else read_decimal(value, _LARGEST_BLOCK)
    return number if number is not None and number >= _SMALLEST_BLOCK else default


def _said(options: dict[bytes, bytes]) -> str:
    """Options for a line of text."""
    return " ".join(f"{_text(key)}={_text(value)}" for key, value in options.items())


def _text(data: bytes) -> str:
    """Bytes of a message for a line of text."""
    return data[:64].split(b"\0")[0].decode("ascii", "backslashreplace")
