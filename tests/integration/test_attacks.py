"""Attacks of `make attack`: a few of them each time, all of them in the long run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from attacks import control, forgery, machine, streams
from attacks.run import ATTACKS, gateway, main
from attacks.table import Attack, Vacuous, World, perform
from p4alg.daemon.client import Client
from tests.integration import marks
from tests.integration.conftest import BMV2

PROGRAMS = ("ip", "ethtool", "trafgen", "ping")
needs_lab = marks.needs_lab(*PROGRAMS)
QUICK = (streams.slipstream, forgery.from_inside, control.blind_reset, machine.other_user)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with gateway("embedded") as found:
        yield found


@pytest.mark.parametrize("run", QUICK, ids=lambda run: run.__name__)
class TestRunning:
    """Against the running gateway."""

    pytestmark = needs_lab

    def test_nothing_gets_through(self, world: World, run: object) -> None:
        (attack,) = [attack for attack in ATTACKS if attack.run is run]
        assert attack.run(world) == []


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.parametrize("target", ["embedded", BMV2])
def test_no_attack_at_all_gets_through(target: str) -> None:
    assert main(["--target", target]) == 0


def _world() -> World:
    return World(Client(Path("/nonexistent")), "embedded")


def _held(world: World) -> list[str]:
    """Nothing."""
    return []


def _through(world: World) -> list[str]:
    """Something."""
    return ["a packet"]


def _vacuous(world: World) -> list[str]:
    """Nothing that can be."""
    raise Vacuous("no control")


def _broken(world: World) -> list[str]:
    """Nothing that works."""
    raise OSError("no such host")


def test_what_got_through_or_could_not_be_tried_is_told_and_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = (_held, _through, _vacuous, _broken)
    attacks = [Attack(1, run.__name__, "anybody", run) for run in runs]
    assert perform(_world(), attacks) == 3
    said = capsys.readouterr().out
    results = [line.split()[4:6] for line in said.splitlines() if line.startswith("embedded")]
    assert [words[0] for words in results] == ["held", "THROUGH", "NOT", "NOT"]
    assert "!! a packet" in said
    assert "!! no control" in said
    assert "!! OSError: no such host" in said


def test_an_attack_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "nosuch"]) == 2
    assert "no attack has 'nosuch' in its name" in capsys.readouterr().err


def test_each_attack_has_a_name_of_its_own_and_says_what_it_tries() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
    assert all(attack.tried.endswith(".") for attack in ATTACKS)
    assert {attack.topic for attack in ATTACKS} == set(range(1, 11))
