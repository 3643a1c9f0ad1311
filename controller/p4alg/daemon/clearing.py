"""`p4alg clear`: ends what a selection names, in the controller and in the switch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from p4alg.config.errors import UsageError
from p4alg.daemon.happenings import audit
from p4alg.daemon.plain import PlainViews
from p4alg.daemon.selection import Selection, parse
from p4alg.driver.target import Target, TargetError
from p4alg.engine.actions import Action
from p4alg.engine.organisations import Organisations

PLAIN = ("sessions", "bindings")
"""What the switch keeps by itself too."""


class Clearing:
    """Ends things in an engine and its switch. `perform` carries out actions of the engine."""

    def __init__(
        self,
        engine: Organisations,
        target: Target,
        plain: PlainViews,
        perform: Callable[[Sequence[Action]], None],
        clock: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._target = target
        self._plain = plain
        self._perform = perform
        self._clock = clock

    async def clear(self, request: Mapping[str, Any], whose: str | None) -> dict[str, Any]:
        """Carry out a request: `what`, `select` as for `show`, `all`, `dry_run`.

        The result tells `cleared`, of which `in_switch` were plain flows or counters of the switch
        (None if it does not let them be cleared; `note` says why then), and `kept`, which are
        static and stay. Raises `UsageError`, and `UserError` for a wrong selection.
        """
        what, wanted = str(request.get("what")), request.get("select", {})
        really = not request.get("dry_run")
        if not wanted and not request.get("all"):
            raise UsageError(f"say which {what}: by an option such as --address, or --all")
        if isinstance(wanted, dict) and ("sort" in wanted or "limit" in wanted):
            raise UsageError("what is cleared has no order: leave out 'sort' and 'limit'")
        selection = parse(what, wanted)
        if what == "counters":
            told = await self._counters(selection, whose, really)
        else:
            told = await self._ended(what, selection, whose, really)
        if really:
            by = " ".join(f"{name}={value}" for name, value in wanted.items()) or "all"
            self._perform(audit(f"cleared {what}: {told['cleared']} ({by})", whose or ""))
        return told

    async def _ended(
        self, what: str, selection: Selection, whose: str | None, really: bool
    ) -> dict[str, Any]:
        try:
            found, actions = self._engine.clear(
                what, selection.fits, self._clock(), whose, really=really
            )
        except KeyError:
            raise UsageError(f"'{what}' cannot be cleared") from None
        self._perform(actions)
        told: dict[str, Any] = {"cleared": found.count, "kept": found.kept, "in_switch": 0}
        if what in PLAIN and _may_be_plain(selection):
            try:
                told["in_switch"] = await self._plain.clear(what, selection, whose, really=really)
                told["cleared"] += told["in_switch"]
            except TargetError as error:
                told["in_switch"] = None
                told["note"] = f"plain flows are not cleared: {error}"
        return told

    async def _counters(
        self, selection: Selection, whose: str | None, really: bool
    ) -> dict[str, Any]:
        def wanted(name: str) -> bool:
            return bool(selection.names({name: 0}))

        names = self._engine.clear_counters(wanted, whose, really=really)
        # Those of the switch are of all organisations.
        counted = {} if whose else selection.names(await self._target.counters())
        if counted and really:
            await self._target.clear_counters(counted.keys())
        return {"cleared": len(names | counted.keys()), "kept": 0, "in_switch": len(counted)}


def _may_be_plain(selection: Selection) -> bool:
    """Whether plain flows can be among what is wanted: they have no ALG, and one kind."""
    return "alg" not in selection.words and selection.words.get("kind", "plain") == "plain"
