"""The present settings of the ALGs, and the entries that give them their flows (G1)."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from p4alg.engine.actions import Subsystem
from p4alg.engine.counters import Counters
from p4alg.engine.layout import all_services
from p4alg.engine.outbox import Outbox
from p4alg.engine.settings import AlgSettings, Settings
from p4alg.engine.tables import Entry


@dataclass(frozen=True, slots=True)
class SetUpWritten:
    """Waits until entries that follow from the settings are written."""

    outbox: Outbox
    counters: Counters

    def ended(self, reason: str | None, _now: float) -> None:
        """Tell the operator if the switch has refused some of them."""
        if reason is not None:
            self.counters.count("tables.failed")
            self.outbox.log(
                logging.ERROR, f"the switch refused part of the set-up: {reason}", Subsystem.SWITCH
            )


class AlgSwitching:
    """The present settings of the ALGs. The installed ALGs stay the same."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.algs: dict[str, AlgSettings] = {}
        """By name. Other parts of the engine keep this mapping, and so see each change."""
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Have these settings from now on."""
        self._settings = settings
        self.algs.update({alg.name: alg for alg in settings.algs})

    def entries(self) -> list[Entry]:
        """The entries that give the flows of services to the ALGs that are on."""
        return all_services(self._settings, self.algs.values())
