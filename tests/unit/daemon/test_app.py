"""Commands of the control socket on a real engine, link and switch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from p4alg.cli.show import views
from p4alg.config.errors import UsageError, UserError
from p4alg.daemon.client import Client
from tests.unit.daemon.peers import TENANTS, controller


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with controller(tmp_path_factory.mktemp("controller")) as path:
        yield path


@pytest.fixture
def client(socket: Path) -> Client:
    return Client(socket)


def saved(socket: Path) -> Any:
    """What the file of the controller says of FTP."""
    return yaml.safe_load((socket.parent / "p4alg.yaml").read_text())["algs"]["ftp"]


def test_every_view_is_there(client: Client) -> None:
    for what in views():
        result = client.call("show", what=what)
        assert isinstance(result, dict if what in ("config", "counters", "switch") else list)


def test_changes_are_told_and_saved(client: Client, socket: Path) -> None:
    row = client.call("disable", name="ftp")
    assert (row["name"], row["enabled"]) == ("ftp", False)
    assert saved(socket) == {"enabled": False, "services": ["ftp", "ftp-alt"]}
    row = client.call("services", name="ftp", services=["ftp-alt"])
    assert (row["services"], row["ports"]) == (["ftp-alt"], ["tcp/2121"])
    assert saved(socket) == {"enabled": False, "services": ["ftp-alt"]}
    client.call("services", name="ftp", services=["ftp", "ftp-alt"])
    assert client.call("enable", name="ftp")["enabled"] is True
    assert saved(socket) == {"enabled": True, "services": ["ftp", "ftp-alt"]}
    row = client.call("reset", name="ftp")
    assert (row["enabled"], row["services"]) == (True, ["ftp"])
    assert "algs" not in yaml.safe_load((socket.parent / "p4alg.yaml").read_text())
    client.call("services", name="ftp", services=["ftp", "ftp-alt"])
    history = client.call("config", action="history")
    assert [row["why"] for row in history[1:]] == [
        "alg disable ftp",
        "alg services ftp",
        "alg services ftp",
        "alg enable ftp",
        "alg reset ftp",
        "alg services ftp",
    ]
    # What is so already is no change.
    client.call("enable", name="ftp")
    assert client.call("config", action="history") == history


def test_an_ALG_is_changed_as_a_whole_in_one_commit_in_the_name_that_is_given(
    client: Client,
) -> None:
    before = len(client.call("config", action="history"))
    wanted = {"name": "ftp", "enabled": False, "services": ["ftp-alt"]}
    row = client.call("alg", **wanted, who="ada (console)")
    assert (row["enabled"], row["services"]) == (False, ["ftp-alt"])
    history = client.call("config", action="history")
    assert len(history) == before + 1
    assert (history[-1]["who"], history[-1]["why"]) == ("ada (console)", "alg ftp changed")
    client.call("alg", **{**wanted, "enabled": True, "services": ["ftp", "ftp-alt"]})
    client.call("config", action="unset", path="algs.ftp.enabled")
    client.call("config", action="commit")


def test_latencies_are_told_as_histograms(client: Client) -> None:
    told = client.call("latency")
    assert set(told) == {"decide", "write"}
    for histogram in told.values():
        counts = [count for _, count in histogram["buckets"]]
        assert counts == sorted(counts)
        assert histogram["buckets"][-1] == [None, histogram["count"]]


def test_where_names_the_switch(client: Client) -> None:
    where = client.call("where")
    assert where["grpc"].startswith("127.0.0.1:")
    assert where["device_id"] == 1
    assert client.call("show", what="switch")["grpc"] == where["grpc"]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"command": "nosuch"}, "no command 'nosuch'"),
        ({"command": None}, "no command 'None'"),
        ({"command": ["show"]}, "no command"),
        ({"command": {}}, "no command"),
        ({"command": "enable"}, "no ALG 'None'"),
        ({"command": "enable", "name": "nosuch"}, r"no ALG 'nosuch' \(known: ftp, "),
        ({"command": "disable", "name": ["ftp"]}, "no ALG"),
        ({"command": "services", "name": "ftp"}, "services must be a list"),
        ({"command": "services", "name": "ftp", "services": "ftp"}, "services must be a list"),
        ({"command": "services", "name": "ftp", "services": [1]}, "no service '1'"),
        ({"command": "services", "name": "nosuch", "services": []}, "no ALG 'nosuch'"),
        ({"command": "alg", "name": "ftp", "enabled": True}, "services must be a list"),
        ({"command": "alg", "name": "ftp", "services": []}, "enabled must be true or false"),
    ],
)
def test_a_wrong_request_is_a_usage_error_and_changes_nothing(
    client: Client, request_: dict[str, Any], reason: str
) -> None:
    before = client.call("show", what="algs")
    with pytest.raises(UsageError, match=reason):
        client.call(**request_)
    assert client.call("show", what="algs") == before


@pytest.mark.parametrize("what", ["nosuch", None, 1, ["algs"]])
def test_a_view_that_is_not_there_is_refused(client: Client, what: object) -> None:
    with pytest.raises(UserError, match="nothing to show under"):
        client.call("show", what=what)


def test_a_change_that_cannot_be_kept_says_so_and_is_not_made(client: Client, socket: Path) -> None:
    part = socket.parent / ".p4alg.yaml.part"
    part.mkdir()
    try:
        wanted = f"cannot write {socket.parent / 'p4alg.yaml'}: .*; nothing was changed"
        with pytest.raises(UserError, match=wanted):
            client.call("disable", name="ftp")
    finally:
        part.rmdir()
    assert next(row for row in client.call("show", what="algs") if row["name"] == "ftp")["enabled"]
    assert "enabled" not in saved(socket)


# Organisations


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with controller(tmp_path_factory.mktemp("tenants"), TENANTS) as path:
        yield path


def on(client: Client) -> dict[tuple[str, str], bool]:
    rows = client.call("show", what="algs")
    return {(row["organisation"], row["name"]): row["enabled"] for row in rows}


def test_where_there_is_one_organisation_it_is_called_default(client: Client) -> None:
    rows = client.call("show", what="algs")
    assert {row["organisation"] for row in rows} == {"default"}
    assert client.call("show", what="algs", organisation="default") == rows
    assert client.call("enable", name="ftp", organisation="default")["organisation"] == "default"
    with pytest.raises(UsageError, match=r"no organisation 'red' \(known: default\)"):
        client.call("show", what="algs", organisation="red")


def test_a_view_of_one_organisation_has_its_rows_only(tenants: Path) -> None:
    client = Client(tenants)
    rows = client.call("show", what="algs", organisation="blue")
    assert {row["organisation"] for row in rows} == {"blue"}
    assert next(row["ports"] for row in rows if row["name"] == "ftp") == ["tcp/2121"]
    bindings = client.call("show", what="bindings", plain=True, organisation="red")
    assert {row["organisation"] for row in bindings["rows"]} <= {"red"}
    # What the switch counts is of all of them.
    assert not [
        n for n in client.call("show", what="counters", organisation="red") if "switch" in n
    ]
    assert client.call("show", what="events", organisation="red") == []


@pytest.mark.parametrize(
    "request_",
    [
        {"command": "enable", "name": "ftp"},
        {"command": "disable", "name": "ftp"},
        {"command": "services", "name": "ftp", "services": ["ftp"]},
    ],
)
def test_a_change_has_to_say_whose_ALG_it_is(tenants: Path, request_: dict[str, Any]) -> None:
    client = Client(tenants)
    before = on(client)
    with pytest.raises(UsageError, match=r"say whose ALG: --organisation NAME \(known: "):
        client.call(**request_)
    with pytest.raises(UsageError, match=r"no organisation '1' \(known: red, blue\)"):
        client.call(**request_, organisation=1)
    assert on(client) == before


def test_a_change_is_made_and_saved_for_one(tenants: Path) -> None:
    client = Client(tenants)
    row = client.call("disable", name="ftp", organisation="red")
    assert (row["organisation"], row["enabled"]) == ("red", False)
    assert (on(client)["red", "ftp"], on(client)["blue", "ftp"]) == (False, True)
    kept = yaml.safe_load((tenants.parent / "p4alg.yaml").read_text())
    # What the organisation had from the section for all is still so.
    assert kept["organisations"]["red"]["algs"]["ftp"] == {"services": ["ftp"], "enabled": False}
    row = client.call("services", name="ftp", services=["ftp", "ftp-alt"], organisation="blue")
    assert row["ports"] == ["tcp/21", "tcp/2121"]
    assert client.call("enable", name="ftp", organisation="red")["enabled"] is True
