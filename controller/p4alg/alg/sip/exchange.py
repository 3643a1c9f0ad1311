"""One message on its way through the gateway, and what becomes of it.

The parts of the ALG look at the message in turn and leave in its `Exchange` what they want:
edits, pinholes, and what is to be ended. Nothing is ended before all of them have agreed
to the message.
"""

from __future__ import annotations

import re

from p4alg.alg.contract import (
    Edit,
    Endpoint,
    Forward,
    Gateway,
    Notice,
    Refuse,
    SessionFacts,
    Step,
    format_addr,
)
from p4alg.alg.sip.body import Length
from p4alg.alg.sip.calls import SipCalls
from p4alg.alg.sip.headers import Contact, Via, contacts, vias
from p4alg.alg.sip.message import Message, SipError
from p4alg.alg.sip.records import Call, TransactionKey

_SUMMARY = 240


class Exchange:
    """A message with its session; `from_inside` tells its direction."""

    def __init__(
        self,
        facts: SessionFacts,
        calls: SipCalls,
        gateway: Gateway,
        now: float,
        message: Message,
        from_inside: bool,
    ) -> None:
        self.facts = facts
        self.calls = calls
        self.gateway = gateway
        self.now = now
        self.message = message
        self.from_inside = from_inside
        self.inside = facts.endpoint(facts.inside)
        self.seen = facts.inside_as_seen_outside
        self.remote = facts.endpoint(facts.inside.other)
        self.settings = calls.settings
        self.edits: list[Edit] = []
        self.notices: list[Notice] = []
        self.pinholes: list[int] = []
        self.ended: list[int] = []
        self.changes: list[str] = []
        self.new_call: Call | None = None
        self.is_new = False
        """Whether it is a request that has not been seen before."""
        self.via_has_port: bool | None = None
        """In a response: whether the request named a port in its topmost Via; None: not known."""
        # By how many bytes what a Content-Length counts grows, and the lengths around that one.
        self._longer: dict[Length, int] = {}
        self._around: dict[Length, tuple[Length, ...]] = {}
        limits = self.settings.limits
        self.vias: list[Via] = vias(message, limits)
        self.contacts: list[Contact] = contacts(message, limits)
        call_id = message.text(message.call_id)
        self.call_id = self.outward_names(call_id) if from_inside else call_id
        is_asker = message.is_request == from_inside
        self.local_tag = message.from_tag if is_asker else message.to_tag
        self.remote_tag = message.to_tag if is_asker else message.from_tag

    @property
    def branch(self) -> bytes:
        """The branch of the topmost Via; empty if it has none (RFC 2543)."""
        return self.vias[0].branch if self.vias else b""

    @property
    def transaction(self) -> TransactionKey:
        """The key by which a response is matched to its request."""
        message = self.message
        by_inside = message.is_request == self.from_inside
        return TransactionKey(
            self.inside.addr, self.call_id, message.cseq, message.method, by_inside
        )

    def outward_names(self, text: bytes) -> bytes:
        """`text` with the outside address wherever the inside host's address stands alone."""
        return _word(self.inside.addr).sub(format_addr(self.seen.addr).encode(), text)

    def name_spans(self, start: int, end: int) -> list[tuple[int, int]]:
        """Where in a Call-ID the address stands that has to be translated."""
        here = self.inside.addr if self.from_inside else self.seen.addr
        return [found.span() for found in _word(here).finditer(self.message.data, start, end)]

    def edit(self, start: int, end: int, text: bytes) -> None:
        """Replace a span of the message by `text`, unless it is that already."""
        if self.message.data[start:end] != text:
            self.edits.append(Edit(start, end, text))

    def edit_body(self, start: int, end: int, text: bytes, lengths: tuple[Length, ...]) -> None:
        """Replace a span of the body, which `lengths` count (innermost first)."""
        self.edit(start, end, text)
        for index, length in enumerate(lengths):
            self._longer[length] = self._longer.get(length, 0) + len(text) - (end - start)
            self._around[length] = lengths[index + 1 :]

    def check_port(self, port: int) -> None:
        """Refuse a message early that asks for a port to which nothing may lead (G7)."""
        objection = self.objection(port)
        if objection:
            raise SipError(objection)

    def objection(self, port: int) -> str:
        """Why nothing may lead to a port of the inside host; empty if it may."""
        return self.gateway.objection(self.facts.proto, Endpoint(self.inside.addr, port))

    def notice(self, event: str, summary: str, *, is_warning: bool = False) -> None:
        """Something worth a count, and perhaps the operator's attention."""
        self.notices.append(Notice(event, summary, is_warning))

    @property
    def is_granted(self) -> bool:
        """Whether it was granted something that the switch may still refuse."""
        return bool(self.pinholes or self.calls.ledger.granted)

    def forward(self, length: int, answer: bytes | None = None) -> list[Step]:
        """The steps of a message that goes on; `answer` is what its sender is told if it cannot."""
        self._edit_lengths()
        self._end(self.ended)
        granted = [*self.pinholes, *self.calls.ledger.granted]
        edits = tuple(sorted(self.edits, key=lambda edit: (edit.start, edit.end)))
        pinholes = tuple(dict.fromkeys(granted))
        step = Forward(length, edits, self._summary(), pinholes, answer=answer)
        return [*self.notices, step]

    def _edit_lengths(self) -> None:
        """Have every Content-Length count what is edited behind it.

        The length of a part is itself within the parts around it, which grow when it needs
        one digit more.
        """
        for length in sorted(self._longer, key=lambda inner: -len(self._around[inner])):
            longer = self._longer[length]
            if longer == 0:
                continue
            start, end = length.header.start, length.header.end
            said = b"%d" % max(0, length.value + longer)
            self.edit(start, end, said)
            for outer in self._around[length]:
                self._longer[outer] += len(said) - (end - start)

    def refuse(self, length: int, reason: str, answer: bytes | None) -> list[Step]:
        """The steps of a message that may not take effect; its sender is told `answer`.

        Everything that was reserved or opened for it is given back.
        """
        if self.new_call is not None:
            self.ended += self.calls.end(self.new_call)
        if self.is_new:
            self.calls.forget(self.transaction)
        self._end([*self.calls.ledger.undo(), *self.ended])
        return [*self.notices, Refuse(length, reason, self._summary(), answer)]

    def _end(self, ids: list[int]) -> None:
        for number in dict.fromkeys(ids):
            self.gateway.end(number)

    def _summary(self) -> str:
        message = self.message
        method = text(message.method)
        start = method if message.is_request else f"{message.code} {method}"
        said = f"{start} {text(self.call_id)}"
        return " ".join([said, *self.changes])[:_SUMMARY]


def text(data: bytes) -> str:
    """Bytes of a message for a line of text."""
    return data[:80].decode("ascii", "backslashreplace")


def _word(addr: int) -> re.Pattern[bytes]:
    dotted = re.escape(format_addr(addr).encode())
    # In the headers of a URI the "@" before an address is written "%40", and its "0" is no
    # part of the address.
    return re.compile(rb"(?:(?<=%40)|(?<![0-9.]))" + dotted + rb"(?![0-9.])")
