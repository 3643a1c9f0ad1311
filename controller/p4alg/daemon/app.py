"""The controller of `p4alg run`: joins configuration, engine, switch and control socket."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import signal
import time
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry

from p4alg.alg import registry
from p4alg.alg.contract import format_addr
from p4alg.artifacts import named
from p4alg.config.errors import UsageError, UserError
from p4alg.config.loader import Config
from p4alg.config.switch import Switch
from p4alg.daemon import checking, metrics, peer, server
from p4alg.daemon.algs import alg_names, describe_algs
from p4alg.daemon.clearing import Clearing
from p4alg.daemon.configuration import Configuration
from p4alg.daemon.happenings import Happenings, audit
from p4alg.daemon.logs import Line, Log
from p4alg.daemon.metrics import Latency, Snapshot
from p4alg.daemon.plain import VIEWS, PlainViews
from p4alg.daemon.protocol import failure, success
from p4alg.daemon.selection import Selection, parse
from p4alg.driver.capacity import array_shortage
from p4alg.driver.gauges import meters
from p4alg.driver.p4runtime.channel import Tls
from p4alg.driver.p4runtime.connection import connect
from p4alg.driver.shell import Shell
from p4alg.driver.target import Target, TargetError
from p4alg.engine.actions import EventRecord, LogRecord, Record, Subsystem, TraceRecord
from p4alg.engine.capabilities import shortcomings
from p4alg.engine.faults import describe
from p4alg.engine.organisations import Organisations
from p4alg.engine.settings import Settings, all_zones
from p4alg.printable import printable

MAX_EVENTS = 1000
"""The most log records that are kept for `show events`."""


async def run(config: Config) -> None:
    """Run a controller until SIGTERM or SIGINT.

    Raises `UserError` if it cannot start, or if it loses the switch.
    """
    organisations = config.organisations
    program = named(config.switch.program)
    too_much = checking.shortage(organisations, config.switch.program)
    if too_much:
        raise UsageError(f"the configuration {too_much}")
    # Another controller may be in charge of the switch. It serves the socket then, so this
    # fails before the switch is touched.
    server.claim(config.control.socket)
    # finsy logs every failure at length. We report the failures that matter ourselves.
    logging.getLogger("finsy").setLevel(logging.CRITICAL + 1)
    try:
        where = (config.switch.grpc, config.switch.device_id)
        meant = meters(organisations)
        async with connect(*where, program, meant, tls=_tls(config.switch)) as target:
            shortage = array_shortage(target.arrays, config.settings.blocks.size)
            if shortage:
                raise UsageError(f"{config.switch.grpc}: the switch's program {shortage}")
            engine = Organisations(organisations, random.SystemRandom(), target.capabilities)
            app = App(config, engine, target)
            app.configuration.begin(peer.myself().name)
            for problem in registry.catalogue().problems:
                app.record(LogRecord(logging.WARNING, problem, subsystem=Subsystem.ALG))
            # What has been made so far stays. To look through it again and again for garbage
            # would stop everything for a tenth of a second each time.
            gc.collect()
            gc.freeze()
            async with server.serve(
                config.control.socket, app.command, app.traces, app.happenings.following
            ):
                with app.metrics_served():
                    await app.run()
    except TargetError as error:
        raise UserError(str(error)) from None


def _tls(switch: Switch) -> Tls | None:
    files = switch.tls
    return None if files is None else Tls(files.ca, files.cert, files.key, files.name)


def _where(switch: Switch) -> dict[str, Any]:
    """Where another client finds the switch, and the files that it needs for that."""
    found: dict[str, Any] = {"grpc": switch.grpc, "device_id": switch.device_id}
    found["program"] = switch.program
    if switch.tls is not None:
        files = {"ca": switch.tls.ca, "cert": switch.tls.cert, "key": switch.tls.key}
        found["tls"] = {use: str(file) for use, file in files.items() if file is not None}
        found["tls_name"] = switch.tls.name
    return found


class App:
    """A controller on a target that is ready for use."""

    def __init__(self, config: Config, engine: Organisations, target: Target) -> None:
        self._config = config
        self._engine = engine
        self._target = target
        self._registry = CollectorRegistry()
        self._latency = Latency(self._registry)
        self._shell = Shell(
            engine,
            target,
            time.monotonic,
            self.record,
            decided=self._latency.decide.observe,
            answered=self._latency.write.observe,
        )
        self._is_ready = False
        self.log = Log(config.log)
        self.happenings = Happenings()
        engine.hear()
        self._events: deque[dict[str, object]] = deque(maxlen=MAX_EVENTS)
        self._plain = PlainViews(target, config.settings.timers, engine.known_hosts, time.monotonic)
        self.configuration = Configuration(
            config,
            lambda new: engine.objection(new.organisations),
            self._reconfigure,
            lambda level, text: self.record(LogRecord(level, text, subsystem=Subsystem.CONFIG)),
            self._audit,
        )
        self._reloading: asyncio.Task[None] | None = None
        self._clearing = Clearing(engine, target, self._plain, self._shell.perform, time.monotonic)
        self.traces = server.Traces()
        engine.trace_while(lambda: self.traces.wanted)

    def metrics_served(self) -> AbstractContextManager[None]:
        """Serves metrics while in the context, if the configuration says where."""
        where = self._config.control.metrics
        if where is None:
            return nullcontext()
        return metrics.serve(where, self.snapshot, lambda: self._is_ready, self._registry)

    async def snapshot(self) -> Snapshot:
        """What metrics tell of this moment."""
        now = time.monotonic()
        counters, algs = self._engine.show("counters", now), self._engine.show("algs", now)
        counted = await self._target.counters()
        return Snapshot(
            version=version("p4alg"),
            program=self._config.switch.program,
            counters={**counters, **counted} if isinstance(counters, dict) else counted,
            algs=[row for row in algs if isinstance(row, dict)],
            subscribers=len(self._engine.show("subscribers", now)),
            unfinished=self._shell.unfinished,
        )

    async def run(self) -> None:
        """Take over the switch and serve. On a signal, leave the switch to itself and return."""
        try:
            await self._run()
        except TargetError as error:
            if self._shell.unfinished:
                lost = f"{self._shell.unfinished} writes and packets were not carried out"
                self.record(LogRecord(logging.WARNING, lost, subsystem=Subsystem.SWITCH))
            raise UserError(
                f"{self._config.switch.grpc}: lost the switch ({error}); start it, then p4alg again"
            ) from None

    async def _run(self) -> None:
        present = await self._target.read_entries()
        self._shell.perform(self._engine.start(present, time.monotonic()))
        await self._shell.drain()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._announce()
        self._is_ready = True
        await self._serve(stop)
        self._shell.perform(self._engine.stop(time.monotonic()))
        await self._shell.drain()
        print("p4alg: stopped; the switch goes on forwarding", flush=True)

    async def _serve(self, stop: asyncio.Event) -> None:
        """Serve until `stop`, and carry out what is queued; `TargetError` if the switch is lost."""

        async def end() -> None:
            await stop.wait()
            self._shell.stop()

        serving = asyncio.create_task(self._shell.run(self._target.events()))
        losing = asyncio.create_task(self._target.lost())
        tasks = (serving, losing, asyncio.create_task(end()))
        await asyncio.wait((serving, losing), return_when=asyncio.FIRST_COMPLETED)
        lost = losing.result() if losing.done() else None
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        if lost is not None or ends[0] is not None:
            raise TargetError(lost or _first(ends[0]))

    def _reload(self) -> None:
        self._reloading = asyncio.create_task(self.configuration.reload(peer.myself()))

    def _reconfigure(self, config: Config) -> None:
        """Have the settings of `config` from now on, of which none needs a restart."""
        organisations = config.organisations
        self._shell.perform(self._engine.reconfigure(organisations, time.monotonic()))
        self.log.configure(config.log)
        self._config = replace(self._config, organisations=organisations, log=config.log)
        self._plain.timers = config.settings.timers

    def _announce(self) -> None:
        if self.log.problem:
            self.record(LogRecord(logging.WARNING, self.log.problem, subsystem=Subsystem.CONFIG))
        for line in shortcomings(self._target.capabilities):
            self.record(LogRecord(logging.WARNING, line, subsystem=Subsystem.SWITCH))
        zones = len(all_zones(self._config.organisations))
        on = {name: alg_names(self._engine.algs(name).values()) for name in self._engine.names}
        print(
            f"p4alg: ready: switch {self._config.switch.grpc}, {zones} zones, {describe_algs(on)}",
            flush=True,
        )

    def record(self, record: Record) -> None:
        """Show a log record to the operator, or give another record to those who follow."""
        if isinstance(record, EventRecord):
            self.happenings.record(record, self._organisation_of(record))
        elif isinstance(record, LogRecord):
            if not self.log.wants(record.subsystem, record.level):
                return
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            # Most lines quote what a peer sent, so they are made harmless here, once for all.
            text = printable(record.text)
            whose = self._organisation_of(record)
            line = Line(now, record.level, record.subsystem, record.organisation, text)
            row = {"time": now, "level": line.word, "subsystem": record.subsystem, "text": text}
            self._events.append({**row, "organisation": whose})
            self.log.write(line)
        elif self.traces.wanted:
            self.traces.publish(_trace_row(record, self._organisation_of(record)))

    def _organisation_of(self, record: Record) -> str:
        """The organisation that a record is about, empty if it is about none in particular."""
        names = self._engine.names
        return record.organisation or (names[0] if len(names) == 1 else "")

    # Commands

    async def command(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out a request of the control socket."""
        try:
            match request.get("command"):
                case "show":
                    return success(await self._show(request))
                case "config":
                    who = peer.sender()
                    return success(await self.configuration.handle(request, who))
                case "enable" | "disable" | "services" | "reset" | "alg" as word:
                    return success(await self._change_alg(word, request))
                case "events":
                    return success(self.happenings.kept())
                case "clear":
                    of = self._organisation(request)
                    return success(await self._clearing.clear(request, of))
                case "latency":
                    return success(self._latency.told())
                case "log":
                    return success(self._log_level(request))
                case "where":
                    found = _where(self._config.switch)
                    if request.get("clock"):
                        found["ticks"] = await self._plain.ticks()
                    return success(found)
                case other:
                    return failure(f"no command '{other}'", 2)
        except UserError as error:
            return failure(_told(error), error.status)
        except TargetError as error:
            return failure(f"{self._config.switch.grpc}: {error}", 1)
        except Exception as error:
            # A fault here or in a view of an ALG ends this command, and not the controller.
            text = f"fault: command {request.get('command')}: {describe(error)}"
            self.record(LogRecord(logging.ERROR, text, subsystem=Subsystem.FAULT))
            return failure("that failed inside the controller: see 'p4alg show events'", 1)

    def _log_level(self, request: dict[str, Any]) -> Mapping[str, str]:
        """The level of each subsystem of the log, or set one; `UsageError` for an unknown one."""
        subsystem, level = request.get("subsystem"), request.get("level")
        if level is None and subsystem is None:
            return self.log.levels
        if level is None:
            raise UsageError("give SUBSYSTEM and LEVEL, or neither")
        levels = self.log.set_level(str(subsystem), str(level))
        self._audit(f"{peer.sender().name} set the log level of {subsystem} to {level}")
        return levels

    def _organisation(self, request: dict[str, Any]) -> str | None:
        """The organisation that a request names, None for all; `UsageError` for an unknown one."""
        whose = request.get("organisation")
        if whose is None or whose in self._engine.names:
            return whose
        known = ", ".join(self._engine.names)
        raise UsageError(f"no organisation '{whose}' (known: {known})")

    def _one_organisation(self, request: dict[str, Any]) -> str:
        """The organisation that a change is for: the only one, or the one that is named."""
        whose = self._organisation(request)
        names = self._engine.names
        if whose is None and len(names) > 1:
            raise UsageError(f"say whose ALG: --organisation NAME (known: {', '.join(names)})")
        return whose or names[0]

    async def _show(self, request: dict[str, Any]) -> Any:
        """A view as it was asked for.

        `what` names it, `select` tells which rows of it are wanted, and `organisation` whose.
        With `plain`, one that plain flows belong to is as `PlainViews.add` says. With `count`,
        the number of rows stands for the rows.
        """
        what, whose = str(request.get("what")), self._organisation(request)
        selection = parse(what, request.get("select", {}))
        result = await self._view(what, bool(request.get("plain")), selection, whose)
        if not request.get("count"):
            return result
        if isinstance(result, dict) and isinstance(rows := result.get("rows"), list):
            return {**result, "rows": len(rows)}
        return len(result)

    async def _view(self, what: str, plain: bool, selection: Selection, whose: str | None) -> Any:
        if what == "switch":
            switch = self._config.switch
            state = await self._target.state()
            lacks = shortcomings(self._target.capabilities)
            return {"grpc": switch.grpc, "device_id": switch.device_id, **state, "lacks": lacks}
        if what == "config":
            return await self.configuration.handle({"action": "show"}, peer.sender())
        if what == "audit":
            return selection.cut(self.configuration.audit())
        if what == "events":
            mine = [event for event in self._events if whose in (None, event["organisation"])]
            events = [event for event in mine if selection.fits(event)]
            # The last ones are what somebody means who wants a few.
            return (
                events
                if selection.limit is None
                else events[max(0, len(events) - selection.limit) :]
            )
        try:
            rows = self._engine.show(what, time.monotonic(), whose)
        except KeyError:
            raise UserError(f"nothing to show under '{what}'") from None
        if isinstance(rows, dict):
            # The switch does not count by organisation.
            counted = {} if whose else await self._target.counters()
            return selection.names({**rows, **counted})
        if what == "subscribers":
            rows = await self._with_traffic(rows)
        if plain and what in VIEWS:
            return await self._plain.add(what, rows, selection, whose)
        return selection.cut([row for row in rows if selection.fits(row)])

    async def _with_traffic(self, rows: list[dict[str, object]]) -> list[dict[str, object]]:
        """Subscribers with the packets and bytes that the switch has counted for them."""
        names = {one.organisation: one.name for one in self._config.organisations}
        counted = {
            (names.get(number), format_addr(host)): asdict(traffic)
            for (number, host), traffic in (await self._target.traffic()).items()
        }
        return [
            {**row, **counted.get((str(row["organisation"]), str(row["address"])), {})}
            for row in rows
        ]

    def _audit(self, text: str) -> None:
        for record in audit(text):
            self.record(record)

    async def _change_alg(self, word: str, request: dict[str, Any]) -> Any:
        """Change an ALG in the configuration; returns its row of the view of ALGs.

        The word `alg` sets both `enabled` and `services` in one commit.
        """
        services, enabled = request.get("services"), request.get("enabled")
        if word in ("services", "alg") and not isinstance(services, list):
            raise UsageError("services must be a list")
        if word == "alg" and not isinstance(enabled, bool):
            raise UsageError("enabled must be true or false")
        whose, name = self._one_organisation(request), str(request.get("name"))
        settings = next(one for one in self._config.organisations if one.name == whose)
        if name not in [alg.name for alg in settings.algs]:
            known = ", ".join(alg.name for alg in settings.algs)
            raise UsageError(f"no ALG '{name}' (known: {known})")
        values: dict[str, object] | None = {"enabled": word == "enable"}
        if word == "reset":
            values = None
        elif isinstance(services, list) and word in ("services", "alg"):
            values = {"services": _known_services(services, settings)}
            values |= {"enabled": enabled} if word == "alg" else {}
        why = f"alg {name} changed" if word == "alg" else f"alg {word} {name}"
        author = peer.sender().asking_for(request.get("who"))
        await self.configuration.change_alg(name, whose, values, why, author)
        rows = self._engine.show("algs", time.monotonic(), whose)
        return next(a for a in rows if isinstance(a, dict) and a["name"] == name)


def _told(error: UserError) -> str:
    """What a client is told: a line for each mistake, whatever is in a name."""
    return "\n".join(" ".join(line.splitlines()) for line in error.lines)


def _known_services(services: list[Any], settings: Settings) -> list[str]:
    """The names of services, each once; `UsageError` for one that there is not."""
    names = list(dict.fromkeys(str(service) for service in services))
    for name in names:
        if name not in settings.services:
            known = ", ".join(settings.services)
            raise UsageError(f"no service '{name}' (known: {known})")
    return names


def _first(error: object) -> str:
    """The first line of an error, or of the first error in an exception group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _trace_row(record: TraceRecord, organisation: str) -> dict[str, Any]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "alg": record.alg,
        "client": record.client,
        "server": record.server,
        "sender": record.sender,
        "inside": format_addr(record.inside_addr),
        "verdict": record.verdict,
        "reason": record.reason,
        "summary": record.summary,
        # Latin-1 shows every byte as one character.
        "before": record.before.decode("latin-1"),
        "after": record.after.decode("latin-1"),
        "pinholes": list(record.pinholes),
        "organisation": organisation,
    }
