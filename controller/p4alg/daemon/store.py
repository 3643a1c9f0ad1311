"""Keeps what commands have changed over restarts, in a JSON file.

The file is replaced in one step, so that a crash leaves either the old or the new one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from p4alg.config.errors import UserError
from p4alg.engine.settings import DEFAULT_ORGANISATION, Settings

_VERSION = 1


_Change = tuple[bool | None, list[str] | None]
Saved = Sequence[tuple[str, bool, Sequence[str]]]
"""Of each ALG: its name, whether it is on, and its services."""


def load(path: Path, organisations: Sequence[Settings]) -> tuple[Settings, ...]:
    """Return the settings of all organisations with the changes that the file `path` keeps.

    Changes of organisations, ALGs or services that no longer exist are left out. Raises
    `UserError` if the file is damaged.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["version"] != _VERSION:
            raise ValueError
        changes = {DEFAULT_ORGANISATION: _changes(raw["algs"])}
        for name, algs in raw.get("organisations", {}).items():
            changes[str(name)] = _changes(algs)
    except FileNotFoundError:
        return tuple(organisations)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; correct that, or set P4ALG_STATE"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path} is damaged: remove it to start from the configuration") from None
    return tuple(_changed(one, changes.get(one.name, {})) for one in organisations)


def _changes(algs: Any) -> dict[str, _Change]:
    return {
        str(name): (
            None if alg["enabled"] is None else bool(alg["enabled"]),
            None if alg["services"] is None else [str(s) for s in alg["services"]],
        )
        for name, alg in algs.items()
    }


def _changed(settings: Settings, changes: Mapping[str, _Change]) -> Settings:
    algs = []
    for alg in settings.algs:
        enabled, services = changes.get(alg.name, (None, None))
        if enabled is not None:
            alg = replace(alg, enabled=enabled)
        if services is not None and all(service in settings.services for service in services):
            alg = replace(alg, services=tuple(services))
        algs.append(alg)
    return replace(settings, algs=tuple(algs))


def save(path: Path, organisations: Mapping[str, Saved]) -> None:
    """Write the file: the ALGs of each organisation, by its name."""
    content: dict[str, Any] = {
        "version": _VERSION,
        "algs": _content(organisations.get(DEFAULT_ORGANISATION, ())),
    }
    others = {name: _content(algs) for name, algs in organisations.items()}
    others.pop(DEFAULT_ORGANISATION, None)
    if others:
        content["organisations"] = others
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise UserError(
            f"cannot write {path}: {error.strerror}; the change holds until the controller ends: "
            "correct that, then run the command again"
        ) from None


def _content(algs: Saved) -> dict[str, Any]:
    return {
        name: {"enabled": enabled, "services": list(services)} for name, enabled, services in algs
    }
