"""The section `log`."""

from __future__ import annotations

import logging

import pytest

from p4alg.config.errors import ConfigError
from p4alg.config.logs import LogFormat, LogSettings, read_log
from p4alg.config.source import parse
from p4alg.engine.actions import Subsystem


def read(text: str) -> LogSettings:
    return read_log(parse(text, "file"))


def test_without_a_section_info_and_worse_is_text() -> None:
    settings = read_log(None)
    assert settings.format is LogFormat.TEXT
    assert {settings.level_of(subsystem) for subsystem in Subsystem} == {logging.INFO}


def test_levels_are_those_of_subsystems() -> None:
    settings = read("{format: syslog, syslog: '192.0.2.1:514', level: error, levels: {nat: none}}")
    assert (settings.format, settings.syslog) == (LogFormat.SYSLOG, "192.0.2.1:514")
    assert settings.level_of(Subsystem.ALG) == logging.ERROR
    assert settings.level_of(Subsystem.NAT) > logging.ERROR


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{format: xml}", "'xml' is not one of text, json, syslog, journald"),
        ("{level: loud}", "'loud' is not one of info, warning, error, none"),
        (
            "{levels: {sip: info}}",
            "unknown key 'sip' (known: alg, audit, config, fault, nat, switch",
        ),
        ("{syslog: here}", "'here' is neither a path nor HOST:PORT"),
        ("{file: x}", "unknown key 'file'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(text)
    assert said in str(error.value)
    assert str(error.value).startswith("file:1")
