"""Chooses the executor for a program."""

from __future__ import annotations

from p4softswitch.executor.interface import Executor, Options
from p4softswitch.executor.v1model import V1ModelExecutor
from p4softswitch.program.model import Program


def make_executor(program: Program, options: Options) -> Executor:
    """An executor for `program` with empty state; `ProgramError` if it cannot be run."""
    return V1ModelExecutor(program, options)
