"""Keeps what commands have changed over restarts, in a JSON file.

The file is replaced in one step, so that a crash leaves either the old or the new one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from p4alg.config.errors import UserError
from p4alg.engine.settings import Settings

_VERSION = 1


def load(path: Path, settings: Settings) -> Settings:
    """Return `settings` with the changes that the file `path` keeps.

    Changes of ALGs or services that no longer exist are left out. Raises `UserError` if the
    file is damaged.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["version"] != _VERSION:
            raise ValueError
        changes = {
            str(name): (
                None if alg["enabled"] is None else bool(alg["enabled"]),
                None if alg["services"] is None else [str(s) for s in alg["services"]],
            )
            for name, alg in raw["algs"].items()
        }
    except FileNotFoundError:
        return settings
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; correct that, or set P4ALG_STATE"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path} is damaged: remove it to start from the configuration") from None
    algs = []
    for alg in settings.algs:
        enabled, services = changes.get(alg.name, (None, None))
        if enabled is not None:
            alg = replace(alg, enabled=enabled)
        if services is not None and all(service in settings.services for service in services):
            alg = replace(alg, services=tuple(services))
        algs.append(alg)
    return replace(settings, algs=tuple(algs))


def save(path: Path, algs: Sequence[tuple[str, bool, Sequence[str]]]) -> None:
    """Write the file: for each ALG its name, whether it is on, and its services."""
    content = {
        "version": _VERSION,
        "algs": {
            name: {"enabled": enabled, "services": list(services)}
            for name, enabled, services in algs
        },
    }
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
