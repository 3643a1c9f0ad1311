"""A candidate is changed, committed whole or not at all, and rolled back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from p4alg.config import loader
from p4alg.config.errors import UsageError, UserError
from p4alg.config.loader import Config
from p4alg.config.source import parse
from p4alg.daemon.configuration import Configuration
from p4alg.daemon.peer import Peer
from tests.unit.daemon.peers import EXAMPLE

ANNA, BEN = Peer(1000, "anna"), Peer(1001, "ben")
OFF: dict[str, Any] = {"action": "set", "path": "algs.sip.enabled", "value": False}
SUBNET: dict[str, Any] = {"action": "set", "path": "zones.inside.mtu", "value": 1400}


class Desk:
    """A configuration in a file, and what was applied and logged of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("P4ALG_STATE", str(folder / "revisions"))
        self.file = folder / "p4alg.yaml"
        self.file.write_text(EXAMPLE.read_text())
        self.applied: list[Config] = []
        self.logged: list[str] = []
        self.fault: Exception | None = None
        self.objection = ""
        self.begin()

    def begin(self) -> None:
        """Start anew with what is in the file."""
        self.made = Configuration(
            loader.read(self.file),
            lambda _config: self.objection,
            self.apply,
            lambda _level, text: self.logged.append(text),
            lambda text: self.logged.append(f"audit: {text}"),
        )
        self.made.begin("root")

    def apply(self, config: Config) -> None:
        if self.fault is not None:
            raise self.fault
        self.applied.append(config)

    def ask(self, peer: Peer = ANNA, **request: Any) -> Any:
        return asyncio.run(self.made.handle(request, peer))

    def value(self) -> Any:
        return yaml.safe_load(self.file.read_text())

    def revisions(self) -> list[tuple[int, str, str]]:
        return [(r["revision"], r["who"], r["why"]) for r in self.ask(action="history")]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def test_a_change_waits_in_the_candidate_until_it_is_committed(desk: Desk) -> None:
    found = desk.ask(**OFF)
    assert [line for line in found["diff"] if line[0] in "+-"][2:] == ["+  sip: {enabled: false}"]
    assert desk.value() == yaml.safe_load(EXAMPLE.read_text())
    assert desk.applied == []
    shown = desk.ask(action="show")
    assert (shown["pending"], shown["candidate"]["who"]) == (True, "anna")
    dry = desk.ask(action="diff")
    assert dry["diff"] == found["diff"]
    assert dry["effects"] == ["ALG sip: off; its control sessions go on as plain NAT"]
    done = desk.ask(action="commit", why="calls fail", base=1)
    assert (done["revision"], done["effects"]) == (2, dry["effects"])
    (applied,) = desk.applied
    assert not next(alg for alg in applied.settings.algs if alg.name == "sip").enabled
    assert desk.value()["algs"]["sip"] == {"enabled": False}
    shown = desk.ask(action="show")
    assert (shown["revision"], shown["who"], shown["why"]) == (2, "anna", "calls fail")
    assert (shown["text"], shown["pending"]) == (desk.file.read_text(), False)
    assert desk.logged == [f"audit: anna committed revision 2 (calls fail): {dry['effects'][0]}"]


def test_comments_stay(desk: Desk) -> None:
    desk.ask(**OFF)
    desk.ask(action="commit")
    before, after = EXAMPLE.read_text().splitlines(), desk.file.read_text().splitlines()
    assert [line for line in before if line not in after] == []


def test_what_was_changed_back_is_no_candidate(desk: Desk) -> None:
    desk.ask(**OFF)
    assert desk.ask(action="unset", path="algs.sip.enabled")["diff"] == []
    assert desk.ask(action="show")["candidate"] is None
    with pytest.raises(UserError, match="nothing to commit"):
        desk.ask(action="commit")


def test_a_wrong_candidate_is_told_with_its_places_and_not_committed(desk: Desk) -> None:
    desk.ask(action="set", path="algs.sip.services", value=["nosuch"])
    (problem,) = desk.ask(action="check")["problems"]
    assert (problem["line"], problem["text"].split(" (")[0]) == (19, "no service 'nosuch'")
    dry = desk.ask(action="diff")
    assert (dry["effects"], dry["problems"]) == ([], [problem])
    assert "+  sip: {services: [nosuch]}" in dry["diff"]
    with pytest.raises(UsageError, match=r"p4alg\.yaml:19:\d+: no service 'nosuch'"):
        desk.ask(action="commit")
    assert desk.ask(action="check", text=EXAMPLE.read_text()) == {"problems": []}
    assert desk.ask(action="discard") == {"discarded": True}
    assert desk.ask(action="check") == {"problems": []}
    assert (desk.applied, desk.value()) == ([], yaml.safe_load(EXAMPLE.read_text()))


# Two operators


def test_somebody_else_is_told_whose_the_candidate_is(desk: Desk) -> None:
    desk.ask(**OFF)
    wanted = "anna is changing the configuration since .*config discard --force"
    for request in (
        OFF,
        {"action": "commit"},
        {"action": "discard"},
        {"action": "edit", "text": ""},
    ):
        with pytest.raises(UserError, match=wanted):
            desk.ask(BEN, **request)
    assert desk.ask(BEN, action="diff")["effects"]
    assert desk.ask(BEN, action="discard", force=True) == {"discarded": True}
    assert desk.logged == ["audit: ben discarded the changes of anna"]
    desk.ask(BEN, **OFF)


def test_a_commit_on_what_holds_no_more_is_refused(desk: Desk) -> None:
    desk.ask(**OFF)
    asyncio.run(desk.made.change_alg("ftp", "default", {"enabled": False}, "alg", BEN))
    with pytest.raises(UserError, match=r"ben committed revision 2 meanwhile \(alg\): see"):
        desk.ask(action="commit")
    desk.ask(action="discard")
    desk.ask(**OFF)
    with pytest.raises(UserError, match="ben committed revision 2 meanwhile"):
        desk.ask(action="commit", base=1)
    assert desk.ask(action="commit", base=2)["revision"] == 3
    assert [alg.enabled for alg in desk.applied[-1].settings.algs][:2] == [False, False]


def test_only_who_runs_the_controller_and_root_may_speak_for_others(desk: Desk) -> None:
    desk.ask(Peer(0, "root"), who="carla", **OFF)
    assert desk.ask(action="show")["candidate"]["who"] == "carla"
    with pytest.raises(UserError, match="carla is changing"):
        desk.ask(BEN, who="carla", action="commit")


# The file


def test_a_file_that_was_edited_by_hand_is_not_overwritten(desk: Desk) -> None:
    desk.ask(**OFF)
    edited = EXAMPLE.read_text() + "refuse: pass\n"
    desk.file.write_text(edited)
    with pytest.raises(UserError, match="was changed on disk: run 'p4alg config reload' first"):
        desk.ask(action="commit")
    done = desk.ask(BEN, action="reload", why="by hand")
    assert done["effects"] == ["refuse: reset -> pass, for new control sessions"]
    assert desk.file.read_text() == edited
    assert desk.revisions()[-1] == (2, "ben", "by hand")
    assert desk.ask(action="reload") == {"revision": 2, "effects": []}
    with pytest.raises(UserError, match="ben committed revision 2 meanwhile"):
        desk.ask(action="commit")


def test_a_file_that_is_wrong_is_not_reloaded(desk: Desk) -> None:
    desk.file.write_text("zones: {}\n")
    with pytest.raises(UsageError, match="'nat' is missing"):
        desk.ask(action="reload")
    asyncio.run(desk.made.reload(ANNA))
    assert desk.logged[0].startswith("the configuration is as before: ")
    assert desk.applied == []


def test_SIGHUP_reads_the_file_again(desk: Desk) -> None:
    asyncio.run(desk.made.reload(ANNA))
    assert desk.logged.pop() == "reload: nothing has changed"
    desk.file.write_text(EXAMPLE.read_text() + "refuse: pass\n")
    asyncio.run(desk.made.reload(ANNA))
    assert desk.logged == [
        "audit: anna committed revision 2 (SIGHUP): refuse: reset -> pass, for new control sessions"
    ]
    assert len(desk.applied) == 1


def test_what_the_file_says_at_the_start_is_the_truth_and_a_revision(desk: Desk) -> None:
    desk.begin()
    assert desk.revisions() == [(1, "root", "found at the start")]
    desk.file.write_text(EXAMPLE.read_text() + "refuse: pass\n")
    desk.begin()
    assert desk.revisions()[1:] == [(2, "root", "found at the start")]
    assert list(desk.ask(action="history")[1]["changes"]) == [
        "refuse: reset -> pass, for new control sessions"
    ]


def test_the_state_file_of_an_earlier_version_is_told_of_and_overrides_nothing(desk: Desk) -> None:
    old = desk.file.with_name("state.json")
    old.write_text('{"version": 1, "algs": {"ftp": {"enabled": false, "services": null}}}')
    desk.begin()
    assert desk.logged == [
        f"{old} is not read any more: put what 'p4alg alg' changed into {desk.file}, and remove it"
    ]
    # That of a lab is another one.
    old.write_text('{"topology": "nat"}')
    desk.begin()
    assert len(desk.logged) == 1


def test_a_full_disk_is_one_message_and_changes_nothing(desk: Desk) -> None:
    desk.ask(**OFF)
    blocked = desk.file.with_name(".p4alg.yaml.part")
    blocked.mkdir()
    with pytest.raises(UserError, match=r"cannot write .*p4alg\.yaml: .*; nothing was changed"):
        desk.ask(action="commit")
    assert (desk.applied, len(desk.revisions())) == ([], 1)
    blocked.rmdir()
    assert desk.ask(action="commit")["revision"] == 2


def test_without_room_at_the_start_the_gateway_runs_and_says_so(desk: Desk, tmp_path: Path) -> None:
    for path in (tmp_path / "revisions").iterdir():
        path.unlink()
    (tmp_path / "revisions").rmdir()
    (tmp_path / "revisions").write_text("")
    desk.begin()
    assert desk.logged[0].startswith("the configuration is not kept: ")
    desk.ask(**OFF)
    with pytest.raises(UserError, match=r"revisions is a file: give control\.state a directory"):
        desk.ask(action="commit")


def test_a_change_that_cannot_be_applied_is_taken_back_everywhere(desk: Desk) -> None:
    desk.ask(**OFF)
    desk.fault = RuntimeError("boom")
    with pytest.raises(RuntimeError):
        desk.ask(action="commit")
    assert desk.file.read_text() == EXAMPLE.read_text()
    assert desk.ask(action="show")["text"] == EXAMPLE.read_text()
    assert desk.revisions()[-1] == (3, "anna", "revision 2 could not be applied")


def test_what_cannot_be_changed_now_is_not_committed(desk: Desk) -> None:
    desk.ask(**OFF)
    desk.objection = "it is in use"
    with pytest.raises(UserError, match="that cannot be changed now: it is in use"):
        desk.ask(action="commit")
    assert (desk.applied, len(desk.revisions())) == ([], 1)
    desk.objection = ""
    assert desk.ask(action="commit")["revision"] == 2


# Restart, rollback


def test_what_needs_a_restart_is_refused_or_waits_as_a_whole(desk: Desk) -> None:
    desk.ask(**OFF)
    desk.ask(**SUBNET)
    wanted = "zones: this needs a restart of the controller: give --at-restart to keep all of it"
    with pytest.raises(UserError, match=wanted):
        desk.ask(action="commit")
    done = desk.ask(action="commit", at_restart=True)
    assert done["needs_restart"]
    assert desk.applied == []
    assert desk.ask(action="show")["needs_restart"]
    assert desk.value()["zones"]["inside"]["mtu"] == 1400
    # An ALG can be switched all the same, in what runs and in what waits.
    asyncio.run(desk.made.change_alg("ftp", "default", {"enabled": False}, "alg", BEN))
    (applied,) = desk.applied
    ftp, sip = applied.settings.algs[:2]
    assert (ftp.enabled, sip.enabled, applied.settings.zones[0].mtu) == (False, True, 1500)
    assert desk.value()["algs"]["ftp"]["enabled"] is False
    assert desk.value()["zones"]["inside"]["mtu"] == 1400
    desk.begin()
    assert not desk.ask(action="show")["needs_restart"]
    assert len(desk.revisions()) == 3


def test_a_rollback_is_a_commit_of_what_was(desk: Desk) -> None:
    desk.ask(**OFF)
    desk.ask(action="commit")
    with pytest.raises(UserError, match="revision 2 is what holds"):
        desk.ask(action="rollback", revision=2)
    with pytest.raises(UserError, match="no revision 9: see"):
        desk.ask(action="rollback", revision=9)
    done = desk.ask(action="rollback", revision=1, why="worse")
    assert (done["revision"], done["effects"]) == (3, ["ALG sip: on for new control sessions"])
    assert desk.file.read_text() == EXAMPLE.read_text()
    assert desk.revisions()[-1] == (3, "anna", "rollback to revision 1: worse")
    between: dict[str, Any] = {"from": 2, "to": 3}
    shown = desk.ask(action="diff", **between)
    assert shown["effects"] == ["ALG sip: on for new control sessions"]
    assert [line for line in shown["diff"][3:] if line[0] in "+-"] == ["-  sip: {enabled: false}"]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({}, "no action 'None' of config"),
        ({"action": ["show"]}, "no action"),
        ({"action": "set"}, "give a path"),
        ({"action": "set", "path": "a.b"}, "a value is missing"),
        ({"action": "set", "path": "a.b", "value": 1, "organisation": "x"}, "no organisation 'x'"),
        ({"action": "edit"}, "text is missing"),
        ({"action": "edit", "text": 1}, "text is missing"),
        ({"action": "check", "text": 1}, "text must be"),
        ({"action": "rollback"}, "'None' is no revision"),
        ({"action": "rollback", "revision": True}, "'True' is no revision"),
        ({"action": "diff", "from": "x"}, "'x' is no revision"),
        ({"action": "reload", "why": 1}, "why must be a text"),
        ({"action": "reload", "why": "x" * 501}, "why must be a text"),
    ],
)
def test_a_wrong_request_is_a_usage_error(
    desk: Desk, request_: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        desk.ask(**request_)
    assert desk.ask(action="show")["candidate"] is None


def test_without_a_file_there_is_nothing_to_change(desk: Desk) -> None:
    config = loader.from_item(parse(EXAMPLE.read_text(), "x"))
    bare = Configuration(
        config, lambda _: "", desk.apply, lambda _level, _text: None, lambda _text: None
    )
    bare.begin("root")
    with pytest.raises(UserError, match="started without a configuration file"):
        asyncio.run(bare.handle({"action": "show"}, ANNA))
