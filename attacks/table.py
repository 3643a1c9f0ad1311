"""What an attack is, and how a run of them is told."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from p4alg.daemon.client import Client


@dataclass(frozen=True, slots=True)
class World:
    """The running gateway."""

    client: Client
    target: str
    """``embedded`` or ``bmv2``."""

    def show(self, what: str) -> list[dict[str, object]]:
        """A view of the controller's."""
        rows: list[dict[str, object]] = self.client.call("show", what=what)
        return rows

    def counter(self, name: str) -> int:
        """One counter; 0 if there is none of that name yet."""
        counters: dict[str, int] = self.client.call("show", what="counters")
        return counters.get(name, 0)


class Vacuous(Exception):
    """The attack shows nothing, because what it stands on does not work here."""


class NotHere(Exception):
    """The attack cannot be judged on this target, for a reason that is known."""


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack: `run` gives what got through, a line each, and nothing if the gateway held."""

    topic: int
    """Which kind: the number in docs/security.md."""
    name: str
    sender: str
    """Who could send it."""
    run: Callable[[World], list[str]]
    """Its first line of documentation says what is tried."""

    @property
    def tried(self) -> str:
        """What is tried."""
        return (self.run.__doc__ or "").strip().splitlines()[0]


def perform(world: World, attacks: Iterable[Attack]) -> int:
    """Run attacks and print a line for each; how many got through or could not be tried."""
    bad = 0
    for attack in attacks:
        begun = time.monotonic()
        try:
            through = attack.run(world)
        except NotHere as error:
            _tell(world, attack, "not here", [str(error)], begun)
            continue
        except Vacuous as error:
            _tell(world, attack, "NOT TRIED", [str(error)], begun)
            bad += 1
            continue
        except Exception as error:
            # One attack that breaks must not hide the others.
            _tell(world, attack, "NOT TRIED", [f"{type(error).__name__}: {error}"], begun)
            bad += 1
            continue
        bad += bool(through)
        _tell(world, attack, "THROUGH" if through else "held", through, begun)
    return bad


def _tell(world: World, attack: Attack, result: str, seen: list[str], begun: float) -> None:
    head = f"{world.target:<9}{attack.topic:>2}  {attack.name:<30}{attack.sender:<16}{result}"
    print(f"{head}  ({time.monotonic() - begun:.1f} s)")
    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    for line in (attack.tried, *(f"!! {line}" for line in seen[:10])):
        indent = " " * 13
        text = line if wide > 9_000 else textwrap.shorten(line, wide * 3)
        print(textwrap.fill(text, min(wide, 96), initial_indent=indent, subsequent_indent=indent))
    sys.stdout.flush()
