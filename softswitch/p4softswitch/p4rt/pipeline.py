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

    def set(self, action: int, config: Any) -> None:
        """Carry out a SetForwardingPipelineConfig action. A commit empties all tables, groups
        and sessions, as the specification wants it for everything but a reconciliation."""
        match action:
            case _Set.VERIFY:
                self._load(config)
            case _Set.VERIFY_AND_SAVE:
                self._saved = self._load(config)
            case _Set.VERIFY_AND_COMMIT:
                self._commit(self._load(config))
            case _Set.COMMIT:
                if self._saved is None:
                    raise RpcError(FAILED_PRECONDITION, "no config is saved")
                self._commit(self._saved)
            case _Set.RECONCILE_AND_COMMIT:
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

    def _load(self, config: Any) -> Loaded:
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
        current = self._current
        if current is None:
            self._commit(self._load(config))
            return
        same = (
            current.config.p4_device_config == config.p4_device_config
            and current.config.p4info == config.p4info
        )
        if not same:
            raise RpcError(UNIMPLEMENTED, "reconciling with another program is not supported")
        kept = p4r.ForwardingPipelineConfig()
        kept.CopyFrom(config)
        self._current = Loaded(kept, current.schema, current.executor)
