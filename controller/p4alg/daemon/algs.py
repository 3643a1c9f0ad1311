"""Says in one line which ALGs are on, for each organisation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from p4alg.engine.defaults import DEFAULT_ORGANISATION
from p4alg.engine.settings import AlgSettings


def alg_names(algs: Iterable[AlgSettings]) -> list[str]:
    """The names of those that are on."""
    return [alg.name for alg in algs if alg.enabled]


def describe_algs(names: Mapping[str, Sequence[str]]) -> str:
    """The ALGs that are on, by organisation; those are not named if there is only the default."""
    if list(names) == [DEFAULT_ORGANISATION]:
        return f"ALGs on: {_joined(names[DEFAULT_ORGANISATION])}"
    each = "; ".join(f"{name}: {_joined(on)}" for name, on in names.items())
    return f"{len(names)} organisations, ALGs on: {each}"


def _joined(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
