"""An action is a value of one of five kinds."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, is_dataclass
from typing import get_args

import pytest

from p4alg.engine import actions
from p4alg.engine import tables as t
from p4alg.engine.actions import (
    Action,
    EventRecord,
    LogRecord,
    PacketOut,
    Remind,
    TraceRecord,
    Transaction,
)
from p4alg.engine.tables import Op, Update

EXAMPLES: list[Action] = [
    PacketOut(b"frame", 1),
    Transaction(1, (Update(Op.INSERT, t.Local(1)),), (PacketOut(b"frame", egress_port=2),)),
    LogRecord(20, "text"),
    TraceRecord(1.0, "ftp", "c", "s", "client", 1, "forwarded", "PASV", b"PASV", b"PASV"),
    EventRecord("session", "opened"),
    Remind(0.5),
]


def test_every_class_of_the_module_is_an_action() -> None:
    made = {value for value in vars(actions).values() if is_dataclass(value)}
    assert made - {Update} == set(get_args(Action)) == {type(example) for example in EXAMPLES}


@pytest.mark.parametrize("action", EXAMPLES, ids=lambda action: type(action).__name__)
def test_an_action_is_a_value(action: Action) -> None:
    assert len({action, action}) == 1
    name = next(iter(type(action).__dataclass_fields__))
    with pytest.raises(FrozenInstanceError):
        setattr(action, name, None)


def test_a_packet_goes_through_the_pipeline_unless_a_port_is_named() -> None:
    packet = PacketOut(b"", 3)
    assert (packet.ingress_port, packet.egress_port) == (3, None)
    assert not packet.sequence_is_final
    assert not packet.hairpin
    assert not packet.begin
