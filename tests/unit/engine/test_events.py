"""The events are values, and the union of them is complete."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import get_args

from p4alg.engine import events as ev
from p4alg.engine.tables import FlowKey
from p4alg.p4constants import Punt


def test_every_class_of_the_module_is_an_event() -> None:
    made = {value for value in vars(ev).values() if is_dataclass(value)}
    assert made == set(get_args(ev.Event))


def test_the_module_offers_all_events_and_the_reasons_of_punts() -> None:
    kinds = {kind.__name__ for kind in get_args(ev.Event)}
    assert set(ev.__all__) == {"Event", "Reason", *kinds}
    assert ev.Reason is Punt


def test_events_are_values() -> None:
    key = FlowKey(6, 1, 2, 3, 4)
    assert ev.SessionIdle(key) == ev.SessionIdle(key)
    assert len({ev.Tick(), ev.Tick(), ev.PinholeIdle(1), ev.PinholeIdle(1)}) == 2
