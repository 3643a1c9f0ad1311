"""ALGs are found by entry points; one that cannot be used costs no other anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from p4alg.alg import registry
from p4alg.alg.contract import GRE, TCP, UDP
from p4alg.alg.descriptor import Alg, Column, Option, View

GOOD = Alg("toy", "a toy", services=((TCP, 7777),), make=lambda _facts, _context: None)  # type: ignore[arg-type,return-value]


class Point:
    """An entry point of a distribution, with what it loads."""

    def __init__(self, name: str, load: Callable[[], Any], distribution: str = "p4alg-toy") -> None:
        self.name, self.load, self.value = name, load, f"{name}:ALG"
        self.dist = type("Distribution", (), {"name": distribution})()


def bad(**changes: object) -> Alg:
    """A descriptor with fields of types that no type checker lets through."""
    return replace(GOOD, **changes)  # type: ignore[arg-type]


def _loading(alg: Alg) -> Callable[[], Alg]:
    return lambda: alg


def assemble(*points: Point) -> registry.Catalogue:
    own = [Point(name, _loading(alg), "p4alg") for name, alg in registry.algs().items()]
    found: list[EntryPoint] = [*points, *own]  # type: ignore[list-item]
    return registry.assemble(found)


def test_the_project_s_own_are_found_in_the_order_of_their_numbers() -> None:
    found = registry.catalogue()
    assert list(found.algs)[:5] == ["ftp", "sip", "tftp", "pptp", "ike"]
    assert found.problems == ()
    numbers = [alg.alg_id for alg in found.algs.values()]
    assert numbers == sorted(set(numbers))


def test_another_distribution_s_gets_a_number_of_its_own() -> None:
    found = assemble(Point("toy", lambda: GOOD), Point("toys", lambda: replace(GOOD, name="toys")))
    assert found.problems == ()
    assert (found.algs["toy"].alg_id, found.algs["toys"].alg_id) == (128, 129)


def _raise() -> Any:
    raise ImportError("no module\nnamed 'toys'")


def _exit() -> Any:
    raise RuntimeError("an import that does things")


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (_raise, "ImportError: no module named 'toys'"),
        (_exit, "RuntimeError: an import that does things"),
        (lambda: 7, "it is no p4alg.alg.descriptor.Alg"),
        (lambda: replace(GOOD, name="Toy"), "its name is not a lower-case word"),
        (lambda: replace(GOOD, name="ftp"), "there is an ALG 'ftp' already"),
        (lambda: replace(GOOD, alg_id=2), "its id 2 is that of 'sip'"),
        (lambda: replace(GOOD, alg_id=300), "its id is not in 0..254"),
        (lambda: replace(GOOD, services=()), "it has no service"),
        (lambda: replace(GOOD, services=((TCP, 0),)), "(6, 0) is not (TCP or UDP, port)"),
        (lambda: replace(GOOD, services=((GRE, 5),)), "(47, 5) is not (TCP or UDP, port)"),
        (lambda: bad(make=None), "make, share and keeps_port have to be functions"),
        (lambda: replace(GOOD, message=-1), "its longest message is not in"),
        (lambda: replace(GOOD, protocols=(UDP,)), "17 is not the number of a protocol"),
        (lambda: replace(GOOD, description="a\x1bb"), "its description is not one line"),
        (lambda: bad(options=("x",)), "is no option with a lower-case name"),
        (
            lambda: replace(GOOD, options=(Option("enabled", True, "on"),)),
            "its option 'enabled' is there twice, or is one that all ALGs have",
        ),
        (
            lambda: replace(GOOD, options=(Option("n", 5, "n", low=6, high=9),)),
            "the default of its option 'n' is wrong: 5 is not in 6..9",
        ),
        (
            lambda: replace(GOOD, options=(Option("w", "x", "w", choices=("a", "b")),)),
            "the default of its option 'w' is wrong: 'x' is not one of a, b",
        ),
        (
            lambda: replace(GOOD, options=(Option("o", None, "o"),)),  # type: ignore[arg-type]
            "its option 'o' is neither a flag, a number nor a word",
        ),
        (lambda: bad(views={"v": 3}), "its view 'v' is no view"),
        (
            lambda: replace(
                GOOD, views={"calls": View(lambda _s, _n: (), (Column("X", lambda row: 1),))}
            ),
            "'sip' has a view 'calls' already",
        ),
    ],
)
def test_one_that_cannot_be_used_is_left_out_with_one_line(
    load: Callable[[], Any], reason: str
) -> None:
    found = assemble(Point("toy", load))
    assert list(found.algs) == list(registry.algs())
    (problem,) = found.problems
    assert problem.startswith("ALG 'toy' of p4alg-toy is left out: ")
    assert reason in problem
    assert problem.endswith("; correct or remove that distribution")
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        (Option("f", False, ""), True, 1),
        (Option("n", 5, "", low=1, high=9), 9, 10),
        (Option("n", 5, "", low=1, high=9), 1, 2.5),
        (Option("r", 0.5, "", low=0, high=1), 1, 1.5),
        (Option("r", 0.5, "", low=0, high=1), 0.25, True),
        (Option("w", "a", "", choices=("a", "b")), "b", "c"),
    ],
)
def test_an_option_says_what_it_may_be(option: Option, good: object, bad: object) -> None:
    assert option.objection(good) == ""
    assert option.objection(bad)
