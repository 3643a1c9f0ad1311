"""The HTTP API on a real controller and switch: what can be looked at, and what can be changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from p4alg.daemon.client import Client
from tests.unit.console.peers import ADMIN, LOOKER, Browser, Served, console
from tests.unit.daemon.peers import TENANTS, controller, served, wait_until

GATEWAY, RED = "/api/devices/gateway", "?organisation=red"


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with controller(tmp_path_factory.mktemp("controller")) as path:
        yield path


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with controller(tmp_path_factory.mktemp("tenants"), TENANTS) as path:
        yield path


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory, socket: Path, tenants: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("console")
    sockets = {"gateway": socket, "tenants": tenants, "gone": folder / "gone.sock"}
    with console(folder, sockets) as made:
        yield made


@pytest.fixture(scope="module")
def admin(it: Served) -> Browser:
    return it.browser()


@pytest.fixture
def controlled(socket: Path) -> Client:
    return Client(socket)


def test_devices_are_listed_with_what_is_wrong_with_them(admin: Browser) -> None:
    found = {row["name"]: row for row in admin.get("/api/devices").json}
    assert list(found) == ["gateway", "tenants", "gone"]
    assert found["gateway"]["error"] == ""
    assert found["tenants"]["organisations"] == ["red", "blue"]
    assert found["gateway"]["algs_on"] == 5
    assert "no controller at" in found["gone"]["error"]


def test_a_controller_that_is_gone_is_one_clear_line(admin: Browser) -> None:
    for path in ("algs", "views/sessions", "switch", "counters", "config/show"):
        answer = admin.get(f"/api/devices/gone/{path}")
        assert answer.status == 502
        assert "no controller at" in answer.error
    answer = admin.put("/api/devices/gone/algs/ftp", {"enabled": True, "services": []})
    assert answer.status == 502


def test_unknown_devices_algs_views_and_paths_are_404(admin: Browser) -> None:
    assert "known: gateway, tenants, gone" in admin.get("/api/devices/nosuch/algs").error
    answer = admin.put(f"{GATEWAY}/algs/nosuch", {"enabled": True, "services": []})
    assert (answer.status, answer.error[:24]) == (404, "no ALG of that name (kno")
    assert admin.get("/api/nosuch").status == 404
    assert admin.get("/nosuch.js").status == 404
    assert admin.get(f"{GATEWAY}/views/nosuch").status == 502


def test_ALGs_and_services_are_those_of_the_controller(admin: Browser, controlled: Client) -> None:
    shown = controlled.call("show", what="algs")
    assert admin.get(f"{GATEWAY}/algs").json == shown
    services = {row["name"]: row for row in admin.get(f"{GATEWAY}/services").json}
    assert services["ftp-alt"]["ports"] == ["tcp/2121"]
    assert services["ftp-alt"]["alg"] == "ftp"


def change(browser: Browser, enabled: bool, services: list[str], **more: Any) -> Any:
    wanted = {"enabled": enabled, "services": services, **more}
    return browser.put(f"{GATEWAY}/algs/ftp", wanted)


def test_an_ALG_is_switched_and_bound_and_the_change_is_recorded(
    it: Served, admin: Browser, controlled: Client
) -> None:
    answer = change(admin, False, ["ftp-alt"])
    assert answer.status == 200
    assert (answer.json["enabled"], answer.json["services"]) == (False, ["ftp-alt"])
    (row,) = controlled.call("show", what="algs", select={"alg": "ftp"})
    assert (row["enabled"], row["services"]) == (False, ["ftp-alt"])
    # What was shown a moment ago is not shown any more.
    assert admin.get(f"{GATEWAY}/algs").json[0]["enabled"] is False
    last = admin.get("/api/audit").json[0]
    assert last["what"] == "ftp: off, services ftp-alt"
    assert (last["who"], last["device"], last["address"]) == (ADMIN[0], "gateway", "127.0.0.1")
    # It is one commit of the configuration, by who asked for it.
    commit = admin.get(f"{GATEWAY}/config/history").json[-1]
    assert (commit["who"], commit["why"]) == ("ada (console)", "alg ftp changed")
    assert len(commit["changes"]) == 2
    assert change(admin, True, ["ftp", "ftp-alt"]).json["enabled"] is True


def test_what_does_not_differ_is_not_changed_nor_recorded(admin: Browser) -> None:
    before = admin.get("/api/audit").json
    now = admin.get(f"{GATEWAY}/algs").json[0]
    assert change(admin, now["enabled"], now["services"]).status == 200
    assert admin.get("/api/audit").json == before


def test_a_change_of_what_somebody_else_has_changed_is_refused(
    admin: Browser, controlled: Client
) -> None:
    seen = {"enabled": True, "services": ["ftp", "ftp-alt"]}
    controlled.call("disable", name="ftp")
    answer = change(admin, True, ["ftp"], seen=seen)
    assert (answer.status, "look at it again" in answer.error) == (409, True)
    controlled.call("enable", name="ftp")
    assert change(admin, True, ["ftp", "ftp-alt"], seen=seen).status == 200


def test_what_the_controller_refuses_is_told_in_its_words(
    admin: Browser, controlled: Client
) -> None:
    answer = change(admin, True, ["nosuch"])
    assert (answer.status, answer.error[:20]) == (400, "no service 'nosuch' ")
    # SIP's own port is not FTP's.
    assert change(admin, True, ["ftp", "sip"]).status == 400
    assert controlled.call("show", what="algs")[0]["services"] == ["ftp", "ftp-alt"]
    assert admin.get("/api/audit").json[0]["what"].endswith("failed")


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"enabled": True},
        {"enabled": "perhaps", "services": []},
        {"enabled": True, "services": "ftp"},
        {"enabled": True, "services": [], "more": 1},
        {"enabled": True, "services": ["x" * 65]},
        [],
    ],
)
def test_a_change_that_cannot_be_meant_is_one_clear_line(admin: Browser, wanted: Any) -> None:
    answer = admin.put(f"{GATEWAY}/algs/ftp", wanted)
    assert answer.status == 400
    assert answer.error


def test_of_several_organisations_one_has_to_be_named(admin: Browser) -> None:
    path, off = "/api/devices/tenants/algs/ftp", {"enabled": False, "services": ["ftp"]}
    assert "say whose ALG" in admin.put(path, off).error
    assert admin.put(path + RED, off).json["organisation"] == "red"
    rows = admin.get("/api/devices/tenants/algs").json
    on = {row["organisation"]: row["enabled"] for row in rows if row["name"] == "ftp"}
    assert on == {"red": False, "blue": True}
    assert {row["organisation"] for row in admin.get(f"/api/devices/tenants/algs{RED}").json} == {
        "red"
    }


@pytest.mark.parametrize("what", ["sessions", "bindings", "pinholes", "calls", "subscribers"])
def test_every_view_is_paged(admin: Browser, what: str) -> None:
    page = admin.get(f"{GATEWAY}/views/{what}?limit=1&offset=0").json
    assert page["total"] >= len(page["rows"])
    assert len(page["rows"]) <= 1
    assert admin.get(f"{GATEWAY}/views/{what}?limit=10&offset=5000").json["rows"] == []


def test_pages_of_a_view_together_are_the_view(admin: Browser) -> None:
    path = f"{GATEWAY}/views/services?sort=-name"
    whole = admin.get(path).json
    assert whole["total"] == len(whole["rows"]) > 3
    names = []
    for offset in range(0, whole["total"], 2):
        names += [row["name"] for row in admin.get(f"{path}&limit=2&offset={offset}").json["rows"]]
    assert names == [row["name"] for row in whole["rows"]] == sorted(names, reverse=True)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("offset=-1", "offset"),
        ("offset=100001", "offset"),
        ("nosuch=1", "nosuch"),
        ("address=x", "'x' is not ADDRESS"),
        ("level=info", "can be selected by"),
    ],
)
def test_a_selection_that_cannot_be_meant_is_refused(
    admin: Browser, query: str, reason: str
) -> None:
    answer = admin.get(f"{GATEWAY}/views/bindings?{query}")
    assert answer.status == 400
    assert reason in answer.error


def test_counters_and_tables_of_the_switch_are_told(admin: Browser, controlled: Client) -> None:
    tables = admin.get(f"{GATEWAY}/switch").json["tables"]
    assert tables == controlled.call("show", what="switch")["tables"]
    found = admin.get(f"{GATEWAY}/counters?name=alg.*").json
    assert all(name.startswith("alg.") for name in found)


def test_points_come_by_the_stream_and_are_kept(it: Served, admin: Browser) -> None:
    device = it.console.devices["gateway"]
    wait_until("a point", lambda: device.past.points)
    assert admin.get(f"{GATEWAY}/points").json[0]["tables"]
    with admin.stream(f"{GATEWAY}/stream?topic=points") as events:
        name, point = next(events)
        assert name == "points"
        assert set(point) == {"time", "rates", "latency", "controls", "tables"}


def test_the_controller_has_one_reader_of_traces_however_many_look_on(
    tmp_path: Path,
) -> None:
    with served(tmp_path / "control.sock") as peer, console(tmp_path, {"a": peer.path}) as it:
        path = "/api/devices/a/stream?topic=trace"
        one, two = it.browser(), it.browser(LOOKER)
        with one.stream(path) as first, two.stream(path) as second:
            wait_until("a reader", lambda: peer.traces.wanted)
            wait_until("both", lambda: it.console.devices["a"].traces.count == 2)
            peer.publish({"n": 1})
            assert next(first) == next(second) == ("trace", {"n": 1})
            assert len(peer.traces._queues) == 1
        # Who looked on has left; the controller does not make traces for nobody.
        wait_until("no reader", lambda: not peer.traces.wanted)
        with one.stream(path) as again:
            wait_until("a reader", lambda: peer.traces.wanted)
            peer.publish({"n": 2})
            assert next(again) == ("trace", {"n": 2})


def test_a_configuration_request_is_given_to_the_controller_with_who_asked(
    tmp_path: Path,
) -> None:
    with served(tmp_path / "control.sock") as peer, console(tmp_path, {"a": peer.path}) as it:
        path = "/api/devices/a/config"
        wanted = {"path": "algs.ftp.enabled", "value": False}
        assert it.browser().post(f"{path}/set", wanted).json == {
            **wanted,
            "command": "config",
            "action": "set",
            "who": "ada (console)",
        }
        assert it.browser(LOOKER).get(f"{path}/diff?from=1&to=2").json == {
            "command": "config",
            "action": "diff",
            "from": 1,
            "to": 2,
        }
        assert it.browser(LOOKER).post(f"{path}/set", wanted).status == 403
        assert it.browser().post(f"{path}/nosuch", {}).status == 400
        (last, *_) = [r for r in it.console.audit.records if r["device"]]
        assert (last["who"], last["what"]) == ("ada", "config set algs.ftp.enabled")


def test_the_API_is_described(it: Served) -> None:
    described = it.stranger().get("/api/openapi.json").json
    assert "/api/devices/{device}/algs/{alg}" in described["paths"]
    assert described["openapi"].startswith("3.")


def test_a_controller_that_answers_oddly_is_one_clear_line(tmp_path: Path) -> None:
    # It gives back what it is asked, which has nothing of what there has to be.
    with served(tmp_path / "c.sock") as peer, console(tmp_path, {"a": peer.path}) as it:
        ada = it.browser()
        for path in ("devices", "devices/a/algs", "devices/a/views/sessions", "devices/a/events"):
            answer = ada.get(f"/api/{path}")
            assert answer.status == 502, path
            assert "another version" in answer.error
