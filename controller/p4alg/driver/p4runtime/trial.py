"""Finds out by trying what P4Info does not tell of a switch.

A switch that lacks something says UNIMPLEMENTED, or does nothing of it without a word. What is
tried leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import finsy as fy

from p4alg.driver.p4runtime import codec
from p4alg.driver.p4runtime.encoding import Encoder
from p4alg.driver.p4runtime.errors import is_unimplemented, raise_unusable, refusals
from p4alg.driver.p4runtime.program import Program
from p4alg.engine.tables import FlowKey, Op, Session

TRIAL = Session(FlowKey(255, 0, 0, 0, 0), idle_timeout=3600.0)
"""The entry by which it is tried what entries can do: of a protocol that no packet has
(RFC 3692)."""


async def entries(
    switch: fy.Switch, program: Program, *, ages: bool, counts: bool
) -> tuple[bool, bool]:
    """Whether entries age and count packets, which the P4Info may promise.

    A switch that takes no entry just now, such as one with a full table, is believed. Raises
    `TargetError` if the switch cannot be used.
    """
    encoder = Encoder(program)
    try:
        ages = await _insert(switch, encoder, ages=ages)
        key = encoder.update(Op.DELETE, TRIAL)
        asked = fy.P4TableEntry.decode(key.entity, switch.p4info)
        try:
            counting = replace(asked, counter_data=fy.P4CounterData())
            counts = counts and await tells(switch, counting)
            found = [codec.decode(program.own(wire)) async for wire in _read(switch, asked)]
        finally:
            await switch.write([key])
    except _Full:
        return ages, counts
    except fy.P4ClientError as error:
        raise_unusable(error)
    return ages and TRIAL in found, counts


class _Full(Exception):
    """The switch takes no entry just now."""


async def _insert(switch: fy.Switch, encoder: Encoder, *, ages: bool) -> bool:
    """Insert the entry; whether with its idle timeout. `_Full` if it is not taken."""
    for timed in (True, False) if ages else (False,):
        for op in (Op.INSERT, Op.MODIFY):
            try:
                await switch.write([encoder.update(op, TRIAL, ages=timed)])
                return timed
            except fy.P4ClientError as error:
                if is_unimplemented(error):
                    break
                # It may be there, of a controller that was killed: then it is modified.
                refusals(error, 1)
    raise _Full


async def tells(switch: fy.Switch, what: Any) -> bool:
    """Whether a switch implements a read. `TargetError` if that fails otherwise."""
    try:
        async for _ in _read(switch, what):
            pass
    except fy.P4ClientError as error:
        if is_unimplemented(error):
            return False
        raise_unusable(error)
    return True


async def takes_registers(switch: fy.Switch) -> bool:
    """Whether a switch implements writing cells; tried on one that does not exist."""
    for register in switch.p4info.registers:
        wire = fy.P4RegisterEntry(register.alias, index=register.size, data=0)
        try:
            await switch.modify([wire])
        except fy.P4ClientError as error:
            return not is_unimplemented(error)
        return True
    return False


def _read(switch: fy.Switch, what: Any) -> AsyncIterator[Any]:
    # finsy declares an async generator's overloads as coroutines.
    return cast("AsyncIterator[Any]", switch.read(what))
