"""Chooses the executor for a program."""

from __future__ import annotations

from p4softswitch.executor.interface import Executor, Options
from p4softswitch.executor.v1model import V1ModelExecutor
from p4softswitch.program.model import Program
from p4softswitch.state.replication import ReplicationStore


def make_executor(
    program: Program, options: Options, replication: ReplicationStore | None = None
) -> Executor:
    """An executor for `program`; `ProgramError` if the program cannot be run.

    `replication` hands over groups and sessions of the program before, which outlive it.
    """
    return V1ModelExecutor(program, options, replication)
