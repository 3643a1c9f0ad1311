"""The configuration of a running controller: a candidate, commits, and requests for both.

What is changed goes into one candidate, which is its author's until it is committed or discarded;
somebody else is told so. A commit checks the whole, keeps it as a revision, writes it to the
configuration file, and has it applied: all of this or nothing. The file is the truth when the
controller starts, so a file that was edited by hand is never overwritten unseen.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from p4alg.config import editing
from p4alg.config.difference import Effect, difference
from p4alg.config.errors import ConfigError, UsageError, UserError
from p4alg.config.loader import Config, read_text
from p4alg.config.schema import schema
from p4alg.config.source import load_text
from p4alg.daemon.checking import check
from p4alg.daemon.peer import Peer
from p4alg.daemon.revisions import MAX_WHY, Revision, Revisions

RESTART_WORD = "--at-restart"
"""By what an operator accepts that a commit waits for the next start of the controller."""
_FIRST = "found at the start"

Request = dict[str, Any]


@dataclass(slots=True)
class Candidate:
    """A text that is not committed yet, whose it is, and the revision that it began with."""

    who: str
    since: str
    base: int
    text: str


class Configuration:
    """The configuration of a controller that was started with the file of `config`.

    `objection` says why a configuration cannot take effect just now, empty if it can.
    `apply` is given each configuration that takes effect while the controller runs; it is called
    last, and raises only if nothing was applied. `record` writes a line of the log,
    and `audit` notes what an operator has changed.
    """

    def __init__(
        self,
        config: Config,
        objection: Callable[[Config], str],
        apply: Callable[[Config], None],
        record: Callable[[int, str], None],
        audit: Callable[[str], None],
    ) -> None:
        self._name = config.file
        self._file = config.file or Path("-")
        self._objection = objection
        self._apply = apply
        self._record = record
        self._audit = audit
        self._lock = asyncio.Lock()
        self._text = self._running_text = self._previous = config.text
        # Options of the command may have replaced where the switch is. The file is the same.
        self._running = config if config.file is None else read_text(config.text, config.file)
        self._candidate: Candidate | None = None
        self._revisions = Revisions(config.control.state)
        self._revision = Revision(0, "", "", "")

    def begin(self, who: str) -> None:
        """Note the file with which the controller has started, if it is not the last revision.

        If that cannot be kept, the controller runs all the same, and a warning says why.
        """
        if self._name is None:
            return
        old = self._revisions.leftover()
        if old is not None:
            self._record(
                logging.WARNING,
                f"{old} is not read any more: put what 'p4alg alg' changed into {self._file}, "
                "and remove it",
            )
        try:
            kept = self._revisions.all()
            if kept and self._revisions.text(kept[-1].revision) == self._text:
                self._revision = kept[-1]
                return
            changes = self._changes_since(kept[-1].revision) if kept else ()
            self._revision = self._revisions.add(_revision(who, _FIRST, changes), self._text)
        except UserError as error:
            self._record(
                logging.WARNING, f"the configuration is not kept: {'; '.join(error.lines)}"
            )

    def _changes_since(self, revision: int) -> Sequence[Effect]:
        try:
            old = check(self._revisions.text(revision), self._file)
        except UserError:
            return ()
        return difference(old, self._running)

    # Requests

    async def handle(self, request: Request, peer: Peer) -> Any:
        """Carry out a request of the control socket. Raises `UserError`."""
        if self._name is None:
            raise UserError("this controller was started without a configuration file")
        who = peer.asking_for(request.get("who")).name
        async with self._lock:
            return await self._carry_out(request, who)

    async def _carry_out(self, request: Request, who: str) -> Any:
        match request.get("action"):
            case "show":
                return self._show()
            case "schema":
                return schema()
            case "candidate":
                return {"text": self._candidate_text()}
            case "check":
                return {"problems": await self._problems(request.get("text"))}
            case "set":
                path = self._path(request)
                text = editing.set_value(self._draft(who), path, request.get("value"))
                return self._change(who, text)
            case "unset":
                return self._change(who, editing.unset(self._draft(who), self._path(request)))
            case "edit":
                if not isinstance(request.get("text"), str):
                    raise UsageError("text is missing: give the whole configuration")
                self._draft(who)
                return self._change(who, request["text"])
            case "diff":
                return await self._diff(request.get("from"), request.get("to"))
            case "commit":
                return await self._commit(request, who)
            case "discard":
                return self._discard(request, who)
            case "rollback":
                return await self._roll_back(request, who)
            case "history":
                return self.audit()
            case "reload":
                return await self._reload(who, _why(request, "the file was edited"), request)
            case other:
                raise UsageError(f"no action '{other}' of config")

    def _show(self) -> dict[str, Any]:
        found = {**asdict(self._revision), "text": self._text, "file": str(self._file)}
        del found["changes"]
        candidate = self._candidate
        return {
            **found,
            "pending": candidate is not None,
            "needs_restart": self._text != self._running_text,
            "candidate": None
            if candidate is None
            else {"who": candidate.who, "since": candidate.since, "base": candidate.base},
        }

    async def _problems(self, text: object) -> list[dict[str, Any]]:
        whole = self._candidate_text() if text is None else text
        if not isinstance(whole, str):
            raise UsageError("text must be the whole configuration")
        try:
            await self._checked(whole)
        except ConfigError as error:
            return _shown(error)
        return []

    async def _checked(self, text: str) -> Config:
        # A large file takes seconds to read. Packets are decided about meanwhile.
        return await asyncio.to_thread(check, text, self._file)

    # The candidate

    def _candidate_text(self) -> str:
        return self._text if self._candidate is None else self._candidate.text

    def _draft(self, who: str) -> str:
        """The text that `who` changes; `UserError` if the candidate is somebody else's."""
        self._claimed(who)
        return self._candidate_text()

    def _claimed(self, who: str) -> None:
        candidate = self._candidate
        if candidate is not None and candidate.who != who:
            raise UserError(
                f"{candidate.who} is changing the configuration since {candidate.since}: "
                "wait, or take that back by 'p4alg config discard --force'"
            )

    def _change(self, who: str, text: str) -> dict[str, Any]:
        if text == self._text:
            self._candidate = None
        elif self._candidate is None:
            self._candidate = Candidate(who, _now(), self._revision.revision, text)
        else:
            self._candidate.text = text
        return {"diff": _unified(self._text, text, f"revision {self._revision.revision}")}

    def _path(self, request: Request) -> list[str]:
        """The path of a request, in the organisation that it names."""
        keys = editing.keys_of(request.get("path"))
        whose = request.get("organisation")
        return keys if whose is None else [*self._section_of(str(whose)), *keys]

    def _section_of(self, whose: str) -> list[str]:
        names = [settings.name for settings in self._running.organisations]
        if whose not in names:
            raise UsageError(f"no organisation '{whose}' (known: {', '.join(names)})")
        return [] if self._running.settings.is_only else ["organisations", whose]

    async def _diff(self, start: object, end: object) -> dict[str, Any]:
        old_text = self._text if start is None else self._revisions.text(_number(start))
        new_text = self._candidate_text() if end is None else self._revisions.text(_number(end))
        old_name = f"revision {self._revision.revision if start is None else start}"
        new_name = "candidate" if end is None else f"revision {end}"
        lines = _unified(old_text, new_text, old_name, new_name)
        if not lines and self._text == self._running_text:
            return {"diff": [], "effects": []}
        try:
            new = await self._checked(new_text)
            old = self._running if start is None else await self._checked(old_text)
        except ConfigError as error:
            # The lines help to find what is wrong.
            return {"diff": lines, "effects": [], "problems": _shown(error)}
        return {"diff": lines, "effects": _lines(difference(old, new))}

    def _discard(self, request: Request, who: str) -> dict[str, Any]:
        if not request.get("force"):
            self._claimed(who)
        candidate, self._candidate = self._candidate, None
        if candidate is not None and candidate.who != who:
            self._audit(f"{who} discarded the changes of {candidate.who}")
        return {"discarded": candidate is not None}

    # Commits

    async def _commit(self, request: Request, who: str) -> dict[str, Any]:
        self._claimed(who)
        candidate = self._candidate
        if candidate is None:
            raise UserError("nothing to commit: change something by 'p4alg config set' first")
        base = candidate.base if request.get("base") is None else _number(request["base"])
        now = self._revision
        if not base == candidate.base == now.revision:
            raise UserError(
                f"{now.who} committed revision {now.revision} meanwhile ({now.why}): see "
                "'p4alg config diff', then discard your changes and make them again"
            )
        done = await self._accept(candidate.text, who, _why(request, ""), request)
        self._candidate = None
        return done

    async def _roll_back(self, request: Request, who: str) -> dict[str, Any]:
        number = _number(request.get("revision"))
        text = self._revisions.text(number)
        if text == self._text:
            raise UserError(f"revision {number} is what holds: there is nothing to go back to")
        why = _why(request, "")
        words = f"rollback to revision {number}" + (f": {why}" if why else "")
        return await self._accept(text, who, words[:MAX_WHY], request)

    async def _reload(self, who: str, why: str, request: Request) -> dict[str, Any]:
        text = await asyncio.to_thread(load_text, self._file)
        if text == self._text:
            return {"revision": self._revision.revision, "effects": []}
        return await self._accept(text, who, why, request, is_on_disk=True)

    async def _accept(
        self,
        text: str,
        who: str,
        why: str,
        request: Request,
        *,
        is_on_disk: bool = False,
        running: str | None = None,
    ) -> dict[str, Any]:
        """Commit a text. `running` is the one to apply, if it is not the same.

        That is where an earlier commit waits for a restart.
        """
        if not is_on_disk:
            await asyncio.to_thread(self._check_file)
        new = await self._checked(text if running is None else running)
        if running is not None:
            await self._checked(text)
        effects = difference(self._running, new)
        waiting = [effect.text.partition(":")[0] for effect in effects if effect.needs_restart]
        if waiting and not request.get("at_restart"):
            raise UserError(
                f"{', '.join(dict.fromkeys(waiting))}: this needs a restart of the controller: "
                f"give {RESTART_WORD} to keep all of it for the next start"
            )
        objection = "" if waiting else self._objection(new)
        if objection:
            raise UserError(f"that cannot be changed now: {objection}")
        await self._keep(text, who, why, effects, None if is_on_disk else self._file)
        if not waiting:
            await self._take_effect(new, text if running is None else running, who)
        self._audit(_audited(who, self._revision))
        return {
            "revision": self._revision.revision,
            "effects": _lines(effects),
            "needs_restart": self._text != self._running_text,
        }

    async def _keep(
        self, text: str, who: str, why: str, effects: Sequence[Effect], file: Path | None
    ) -> None:
        kept = _revision(who, why, effects)
        self._revision = await asyncio.to_thread(self._revisions.add, kept, text, file)
        self._previous, self._text = self._text, text

    async def _take_effect(self, new: Config, text: str, who: str) -> None:
        try:
            self._apply(new)
        except Exception:
            # A fault of ours: the engine is as before, so the files have to be so too.
            why = f"revision {self._revision.revision} could not be applied"
            await self._keep(self._previous, who, why, (), self._file)
            raise
        self._running, self._running_text = new, text

    def _check_file(self) -> None:
        if load_text(self._file) != self._text:
            raise UserError(f"{self._file} was changed on disk: run 'p4alg config reload' first")

    # ALGs, each change committed at once

    async def change_alg(
        self, name: str, whose: str, values: dict[str, object] | None, why: str, peer: Peer
    ) -> None:
        """Set keys of an ALG of an organisation, or with None take them all back, and commit.

        Nothing happens if they are so already.
        """
        if self._name is None:
            raise UserError("this controller was started without a configuration file")
        async with self._lock:
            text = self._with_alg(self._text, name, whose, values)
            running = self._with_alg(self._running_text, name, whose, values)
            if (text, running) != (self._text, self._running_text):
                await self._accept(text, peer.name, why, {}, running=running)

    def _with_alg(self, text: str, name: str, whose: str, values: dict[str, object] | None) -> str:
        section = [*self._section_of(whose), "algs", name]
        own = editing.get_value(text, section)
        if values is None:
            return text if own is None else editing.unset(text, section)
        settings = next(s for s in self._running.organisations if s.name == whose)
        alg = next(alg for alg in settings.algs if alg.name == name)
        now: dict[str, object] = {"enabled": alg.enabled, "services": list(alg.services)}
        values = {key: value for key, value in values.items() if now[key] != value}
        if values and own is None and len(section) > len(("algs", name)):
            # The section of an organisation replaces the one for all.
            common = editing.get_value(text, ["algs", name])
            return editing.set_value(text, section, {**(common or {}), **values})
        for key, value in values.items():
            text = editing.set_value(text, [*section, key], value)
        return text

    # Signals, and what is logged

    async def reload(self, peer: Peer) -> None:
        """Read the file again, and log what came of it (SIGHUP)."""
        try:
            found = await self.handle({"action": "reload", "why": "SIGHUP"}, peer)
        except UserError as error:
            self._record(logging.ERROR, f"the configuration is as before: {'; '.join(error.lines)}")
            return
        if not found["effects"]:
            self._record(logging.INFO, "reload: nothing has changed")

    def audit(self) -> list[dict[str, Any]]:
        """The journal, the latest last."""
        return [asdict(revision) for revision in self._revisions.all()]


def _shown(error: ConfigError) -> list[dict[str, Any]]:
    """The problems of a configuration, for a reply."""
    found = [asdict(problem) for problem in error.problems]
    return found or [{"line": 1, "column": 1, "text": str(error)}]


def _audited(who: str, revision: Revision) -> str:
    why = f" ({revision.why})" if revision.why else ""
    changes = "; ".join(revision.changes) or "no setting changes"
    return f"{who} committed revision {revision.revision}{why}: {changes}"


def _revision(who: str, why: str, effects: Sequence[Effect]) -> Revision:
    return Revision(0, who, _now(), why, tuple(_lines(effects)))


def _lines(effects: Sequence[Effect]) -> list[str]:
    return [str(effect) for effect in effects]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _why(request: Request, default: str) -> str:
    why = request.get("why")
    if why is None:
        return default
    if not isinstance(why, str) or len(why) > MAX_WHY:
        raise UsageError(f"why must be a text of at most {MAX_WHY} characters")
    return " ".join(why.split())


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageError(f"'{value}' is no revision: see 'p4alg config history'")
    return value


def _unified(old: str, new: str, old_name: str, new_name: str = "candidate") -> list[str]:
    """The lines of a unified diff, empty if there is no difference."""
    names = (old_name, new_name)
    return list(difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm=""))
