"""SetForwardingPipelineConfig and GetForwardingPipelineConfig."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from p4softswitch.errors import ProgramError
from p4softswitch.executor.interface import Executor
from p4softswitch.p4rt.codes import FAILED_PRECONDITION, INVALID_ARGUMENT, UNIMPLEMENTED, RpcError
from p4softswitch.p4rt.proto import p4r
from p4softswitch.p4rt.schema import Schema, bind
from p4softswitch.program.bmv2_json import load_program
from p4softswitch.switch import Switch

_Set = p4r.SetForwardingPipelineConfigRequest
_Get = p4r.GetForwardingPipelineConfigRequest


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config with the schema and the executor that were made from it."""

    config: Any
    schema: Schema
    executor: Executor


class Pipeline:
    """The config in use and the one that is saved for a later commit."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._current: Loaded | None = None
        self._saved: Loaded | None = None

    @property
    def current(self) -> Loaded:
        """The config in use; FAILED_PRECONDITION if there is none."""
        if self._current is None:
            raise RpcError(FAILED_PRECONDITION, "no forwarding pipeline config is set")
        return self._current

    @property
    def loaded(self) -> Loaded | None:
        """The config in use, None if there is none."""
        return self._current

    def has_to_load(self, action: int) -> bool:
        """Whether `set` needs what `load` makes of its config."""
        if action == _Set.RECONCILE_AND_COMMIT:
            return self._current is None
        return action in (_Set.VERIFY, _Set.VERIFY_AND_SAVE, _Set.VERIFY_AND_COMMIT)

    def set(self, action: int, config: Any, loaded: Loaded | None = None) -> None:
        """Carry out a SetForwardingPipelineConfig action. A commit empties all tables, groups
        and sessions, as the specification wants it for everything but a reconciliation.

        `loaded` is what `load` has made of `config`, unless it is still to be done."""
        if loaded is None and self.has_to_load(action):
            loaded = self.load(config)
        match action, loaded:
            case _Set.VERIFY, _:
                pass
            case _Set.VERIFY_AND_SAVE, _:
                self._saved = loaded
            case _Set.VERIFY_AND_COMMIT, Loaded():
                self._commit(loaded)
            case _Set.COMMIT, _:
                if self._saved is None:
                    raise RpcError(FAILED_PRECONDITION, "no config is saved")
                self._commit(self._saved)
            case _Set.RECONCILE_AND_COMMIT, Loaded():
                self._commit(loaded)
            case _Set.RECONCILE_AND_COMMIT, _:
                self._reconcile(config)
            case _:
                raise RpcError(INVALID_ARGUMENT, "pipeline config action is not set")

    def get(self, response_type: int) -> Any:
        """The config in use, cut to what was asked for; the cookie is always there."""
        config = self.current.config
        answer = p4r.ForwardingPipelineConfig()
        if response_type not in _Get.ResponseType.values():
            raise RpcError(INVALID_ARGUMENT, "response type is unknown")
        if response_type in (_Get.ALL, _Get.P4INFO_AND_COOKIE):
            answer.p4info.CopyFrom(config.p4info)
        if response_type in (_Get.ALL, _Get.DEVICE_CONFIG_AND_COOKIE):
            answer.p4_device_config = config.p4_device_config
        if config.HasField("cookie"):
            answer.cookie.CopyFrom(config.cookie)
        return answer

    def load(self, config: Any) -> Loaded:
        """Make everything that `config` needs; nothing is in use yet. It takes seconds if the
        program has to be compiled, and may be called by any thread. INVALID_ARGUMENT if the
        program cannot be run."""
        try:
            program = load_program(config.p4_device_config)
            schema = bind(config.p4info, program)
            executor = self._switch.prepare(program)
        except ProgramError as exc:
            raise RpcError(INVALID_ARGUMENT, str(exc)) from exc
        kept = p4r.ForwardingPipelineConfig()
        kept.CopyFrom(config)
        return Loaded(kept, schema, executor)

    def _commit(self, loaded: Loaded) -> None:
        self._current, self._saved = loaded, None
        self._switch.activate(loaded.executor)

    def _reconcile(self, config: Any) -> None:
        """Only the trivial reconciliation is done: the same program, with another cookie."""
        current = self.current
        same = (
            current.config.p4_device_config == config.p4_device_config
            and current.config.p4info == config.p4info
        )
        if not same:
            raise RpcError(UNIMPLEMENTED, "reconciling with another program is not supported")
        kept = p4r.ForwardingPipelineConfig()
        kept.CopyFrom(config)
        self._current = Loaded(kept, current.schema, current.executor)
