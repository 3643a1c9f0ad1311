"""What the engines of all organisations of a gateway have in common.

Events are decided about one after the other, so that all engines use one undo log and one outbox.
What the switch has once is here once: the numbers of subscribers, and the neighbours.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from p4alg import p4constants
from p4alg.engine.counters import Counters
from p4alg.engine.neighbours import Neighbours
from p4alg.engine.outbox import Outbox
from p4alg.engine.settings import Settings
from p4alg.nat.numbers import HIGHEST, Numbers
from p4alg.undo import UndoLog


class Commons:
    """The parts that engines share."""

    def __init__(
        self, organisations: Sequence[Settings], rng: random.Random, highest: int = HIGHEST
    ) -> None:
        """`highest` is the highest number of a subscriber."""
        first = organisations[0]
        self.organisations = tuple(organisations)
        self.rng = rng
        self.log = UndoLog()
        self.outbox = Outbox(self.log)
        """That of all of them. What is put in here names its organisation by itself."""
        self.counters = Counters()
        """What is counted of the common parts."""
        self.numbers = Numbers(
            first.blocks.size,
            p4constants.SLOT_BITS,
            first.timers.longest + first.timers.port_rest,
            rng,
            self.log,
            highest,
        )
        self.neighbours = Neighbours(self.organisations, self.outbox, self.counters, self.log)

    def configure(self, organisations: Sequence[Settings]) -> None:
        """Have these settings from now on; the organisations are the same."""
        self.organisations = tuple(organisations)
        self.neighbours.refresh = organisations[0].timers.neighbour

    def is_shared(self) -> bool:
        """Whether organisations are configured, so that there may be several."""
        return not self.organisations[0].is_only

    @property
    def leader(self) -> int:
        """The organisation whose engine looks after the common parts when time passes."""
        return self.organisations[0].organisation
