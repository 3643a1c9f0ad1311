"""A shaped link has delay and loss only where the kernel has netem, and says so where not."""

from __future__ import annotations

from functools import partial
from typing import cast

import pytest

pytest.importorskip("mininet", reason="needs Mininet (make setup)")

from p4alg.mininet import link, shaped


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(link, "warn", said.append)
    return said


def options(made: object) -> dict[str, object]:
    return cast("partial[object]", made).keywords


def test_all_that_is_asked_for_is_there_with_netem(
    warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "has_netem", lambda: True)
    made = options(shaped(bw=10, delay="20ms", loss=1, max_queue_size=50))
    assert made == {
        **{"bw": 10, "delay": "20ms", "loss": 1, "max_queue_size": 50},
        **{"txo": False, "rxo": False},
    }
    assert warned == []


def test_without_netem_one_line_says_what_is_left_out(
    warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "has_netem", lambda: False)
    assert "delay" not in options(shaped(bw=10, delay="20ms"))
    assert warned == [link.NO_NETEM]
    assert "loss" not in options(shaped(loss=5))
    assert options(shaped(bw=10))["bw"] == 10
    assert len(warned) == 2
