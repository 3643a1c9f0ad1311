"""Switches ALGs on and off, and binds them to services, while the controller runs (G1)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from p4alg.engine.counters import Counters
from p4alg.engine.layout import all_services
from p4alg.engine.outbox import Outbox
from p4alg.engine.reconcile import reconcile
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
            self.outbox.log(logging.ERROR, f"the switch refused part of the set-up: {reason}")


class AlgSwitching:
    """The present settings of the ALGs."""

    def __init__(self, settings: Settings, outbox: Outbox, counters: Counters) -> None:
        self._settings = settings
        self._outbox = outbox
        self._written = SetUpWritten(outbox, counters)
        self.algs = {alg.name: alg for alg in settings.algs}
        """By name. Other parts of the engine keep this mapping, and so see each change."""

    def entries(self) -> list[Entry]:
        """The entries that give the flows of services to the ALGs that are on."""
        return all_services(self._settings, self.algs.values())

    def set_enabled(self, name: str, enabled: bool) -> bool:
        """Switch an ALG on or off. False if nothing changes; KeyError for an unknown ALG."""
        alg = self.algs[name]
        if alg.enabled == enabled:
            return False
        self._change(replace(alg, enabled=enabled))
        return True

    def set_services(self, name: str, services: Sequence[str]) -> None:
        """Bind an ALG to services.

        Raises KeyError for an unknown ALG or service, ValueError if another ALG has the
        service or ports of it.
        """
        alg = self.algs[name]
        spans = self._settings.spans(services)
        for other in self.algs.values():
            for taken in self._settings.spans(other.services):
                if other.name != name and any(span.overlaps(taken) for span in spans):
                    raise ValueError(f"'{other.name}' is bound to those ports already")
        self._change(replace(alg, services=tuple(dict.fromkeys(services))))

    def _change(self, alg: AlgSettings) -> None:
        before = self.entries()
        self.algs[alg.name] = alg
        self._outbox.write_all(reconcile(self.entries(), before), self._written)
