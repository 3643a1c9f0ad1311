"""Ends what an operator names: sessions, bindings, pinholes, what a view of an ALG shows, counters.

What is named is a test of the rows of a view (`views`), so that whatever can be shown by a
selection can be cleared by it. Everything ends as it does by itself: an ALG is told that its
session is gone, ports rest, and the switch is told by the same transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from p4alg.engine import views
from p4alg.engine.flows import Flow
from p4alg.engine.views import Context
from p4alg.nat.bindings import Kind

Wanted = Callable[[Mapping[str, object]], bool]
"""Whether a row of the view is meant."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many were ended, and how many were `kept` although they were meant.

    Kept are static bindings: they follow from the configuration, and stay as long as it has them.
    """

    count: int = 0
    kept: int = 0

    def __add__(self, other: Cleared) -> Cleared:
        return Cleared(self.count + other.count, self.kept + other.kept)


class Clearing:
    """Ends things of an engine. `flow_gone` tells all parts that a flow has ended."""

    def __init__(self, context: Context, flow_gone: Callable[[Flow], None], really: bool) -> None:
        """Without `really` nothing is ended, and only counted what would be."""
        self._context = context
        self._flow_gone = flow_gone
        self._really = really

    def clear(self, what: str, wanted: Wanted) -> Cleared:
        """End what is wanted of a view. Raises KeyError if nothing of that name can be cleared."""
        match what:
            case "sessions":
                return self._sessions(wanted)
            case "bindings":
                return self._bindings(wanted)
            case "pinholes":
                return self._pinholes(wanted)
            case _:
                return self._of_alg(what, wanted)

    def _sessions(self, wanted: Wanted) -> Cleared:
        flows = self._context.flows.all()
        rows = self._rows("sessions")
        chosen = [flow for flow, row in zip(flows, rows, strict=True) if wanted(row)]
        if self._really:
            for flow in chosen:
                self._end(flow)
        return Cleared(len(chosen))

    def _bindings(self, wanted: Wanted) -> Cleared:
        """With a binding ends all that uses it."""
        context = self._context
        bindings = list(context.flows.mappings.bindings)
        rows = self._rows("bindings")
        # Behind the bindings the view has the 1:1 mappings of the configuration.
        kept = sum(wanted(row) for row in rows[len(bindings) :])
        chosen = [binding for binding, row in zip(bindings, rows, strict=False) if wanted(row)]
        ending = [binding for binding in chosen if binding.kind is not Kind.STATIC]
        if self._really:
            gone = set(ending)
            for flow in context.flows.all():
                if flow.binding in gone:
                    self._end(flow)
            for binding in ending:
                context.pinholes.end_of(binding, context.now)
        return Cleared(len(ending), kept + len(chosen) - len(ending))

    def _pinholes(self, wanted: Wanted) -> Cleared:
        pinholes = self._context.pinholes.all()
        rows = self._rows("pinholes")
        chosen = [found for found, row in zip(pinholes, rows, strict=True) if wanted(row)]
        if self._really:
            for pinhole in chosen:
                self._context.pinholes.shut(pinhole, self._context.now)
        return Cleared(len(chosen))

    def _of_alg(self, what: str, wanted: Wanted) -> Cleared:
        context = self._context
        name, view = views.view_of_alg(what, context)
        if view.end is None:
            raise KeyError(what)
        count = sum(wanted(row) for row in self._rows(what))
        if self._really and count:
            for number in view.end(context.sessions.shared[name], wanted, context.now):
                context.pinholes.end(number, context.now)
        return Cleared(count)

    def _end(self, flow: Flow) -> None:
        flows = self._context.flows
        # A session that ends may end others, as the data connections of a control session.
        if flows.get(flow.key) is flow:
            flows.counters.count("nat.sessions.cleared")
            flows.remove(flow, self._context.now, "cleared")
            self._flow_gone(flow)

    def _rows(self, what: str) -> views.Rows:
        rows = views.show(what, self._context)
        assert isinstance(rows, list)
        return rows
