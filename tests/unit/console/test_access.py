"""Who may do what by the console: cookies, tokens, roles, other sites' pages, and guessing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from p4alg.console.logins import IDLE_SECONDS, LONGEST_SECONDS
from p4alg.console.site import MAX_BODY, document
from p4alg.console.state import MAX_STREAMS_OF_A_LOGIN
from p4alg.daemon.client import Client
from tests.unit.console.peers import ADMIN, LOOKER, Browser, Served, console
from tests.unit.daemon.peers import controller, served, wait_until

ALG = "/api/devices/gateway/algs/ftp"
OFF = {"enabled": False, "services": ["ftp", "ftp-alt"]}
OPEN = {"/api/login", "/api/openapi.json"}


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with controller(tmp_path_factory.mktemp("controller")) as path:
        yield path


@pytest.fixture
def it(tmp_path: Path, socket: Path) -> Iterator[Served]:
    with console(tmp_path, {"gateway": socket}) as made:
        yield made
    # Whatever was tried, nobody who may not has changed anything.
    assert Client(socket).call("show", what="algs")[0]["enabled"] is True


def paths() -> list[tuple[str, str]]:
    """Every request that the API knows."""
    fill = {"device": "gateway", "alg": "ftp", "view": "sessions"}
    found = []
    for path, methods in document()["paths"].items():
        action = {"get": "show", "post": "set"}
        for method in methods:
            filled = path.format(**fill, action=action.get(method, ""))
            found.append((method.upper(), filled))
    return [one for one in found if one[1] not in OPEN]


@pytest.mark.parametrize("cookie", ["", "x", "../..", "A" * 43, "é" * 10])
def test_without_a_cookie_or_with_a_forged_one_everything_is_refused(
    it: Served, cookie: str
) -> None:
    it.browser()
    stranger = Browser(it.port, cookie.encode().decode("latin-1"), "x")
    assert len(paths()) > 10
    for method, path in paths():
        answer = stranger.send(method, path, OFF if method != "GET" else None)
        assert (answer.status, answer.error) == (401, "log in first"), path


def test_a_cookie_is_the_browsers_alone(it: Served) -> None:
    (cookie,) = it.stranger().login(*ADMIN).cookies
    words = {word.strip().lower() for word in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= words
    # In the console itself there is nothing that a cookie could be made of.
    value = cookie.partition(";")[0].partition("=")[2]
    assert value not in repr(it.console.logins._logins)


def test_who_may_look_on_may_change_nothing(it: Served) -> None:
    otto = it.browser(LOOKER)
    for method, path in paths():
        if method == "GET" and not path.endswith(("stream", "config/show")):
            assert otto.get(path).status == 200, path
        elif method != "GET" and path != "/api/logout":
            body = {"PUT": OFF}.get(method, {"path": "x"})
            if path.endswith("/call"):
                body = {"command": "disable", "name": "ftp"}
            answer = otto.send(method, path, body)
            assert (answer.status, "ask an admin" in answer.error) == (403, True), path


@pytest.mark.parametrize("token", [None, "", "x", "A" * 43])
def test_a_change_without_the_token_of_its_login_is_refused(it: Served, token: str | None) -> None:
    ada, other = it.browser(), it.browser()
    for wrong in (token, other.csrf):
        answer = ada.put(ALG, OFF, X_CSRF_Token=wrong)
        assert (answer.status, "token" in answer.error) == (403, True)
        assert ada.post("/api/logout", X_CSRF_Token=wrong).status == 403
    assert ada.get("/api/me").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
    ],
)
def test_another_sites_page_changes_nothing_even_with_cookie_and_token(
    it: Served, headers: dict[str, str]
) -> None:
    answer = it.browser().put(ALG, OFF, **headers)
    assert (answer.status, "another site" in answer.error) == (403, True)
    name, password = ADMIN
    tried = it.stranger().post("/api/login", {"name": name, "password": password}, **headers)
    assert tried.status == 403


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_our_own_page_is_no_other_site_by_a_proxy_with_TLS_neither(it: Served, scheme: str) -> None:
    ada = it.browser()
    here = {"Origin": f"{scheme}://127.0.0.1:{it.port}", "Sec_Fetch_Site": "same-origin"}
    now = {"enabled": True, "services": OFF["services"]}
    assert ada.put(ALG, now, **here).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1.evil", None])
def test_a_name_that_is_not_ours_is_refused(it: Served, host: str | None) -> None:
    ada = it.browser()
    for path in ("/", "/api/me", "/api/devices"):
        if host is None:
            continue
        answer = ada.get(path, Host=host)
        assert (answer.status, "by that name" in answer.error) == (421, True)
    assert ada.get("/api/me", Host=f"LOCALHOST:{it.port}").status == 200


@pytest.mark.parametrize("path", ["/", "/api/me", "/api/login", "/nosuch", "/api/openapi.json"])
def test_every_answer_forbids_scripts_of_others(it: Served, path: str) -> None:
    headers = {name.lower(): value for name, value in it.stranger().get(path).headers.items()}
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
    assert headers["cache-control"] == ("no-store" if path.startswith("/api/") else "no-cache")


def test_guessing_a_password_is_slowed_down_and_does_not_shut_out_others(it: Served) -> None:
    stranger = it.stranger()
    answers = [stranger.login(ADMIN[0], f"guess number {n}") for n in range(12)]
    assert [answer.status for answer in answers] == [401] * 5 + [429] * 7
    assert {answer.error for answer in answers[:5]} == {"wrong name or password"}
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 30
    # Not even the right one is let in now.
    assert stranger.login(*ADMIN).status == 429
    assert it.stranger().login(*LOOKER).status == 200
    it.wait(31)
    assert stranger.login(*ADMIN).status == 200


def test_the_right_password_is_no_guess(it: Served) -> None:
    for _ in range(12):
        assert it.stranger().login(*LOOKER).status == 200


def test_guessing_names_is_slowed_down_too(it: Served) -> None:
    statuses = [it.stranger().login(f"user{n}", "x").status for n in range(24)]
    assert statuses == [401] * 20 + [429] * 4


def test_an_unknown_name_is_answered_as_a_wrong_password(it: Served) -> None:
    unknown = it.stranger().login("nobody", "wrong password")
    wrong = it.stranger().login(ADMIN[0], "wrong password")
    assert (unknown.status, unknown.body) == (wrong.status, wrong.body)


def test_a_login_ends_when_it_is_not_used_and_in_any_case_after_half_a_day(it: Served) -> None:
    ada, other = it.browser(), it.browser()
    for _ in range(int(LONGEST_SECONDS / IDLE_SECONDS)):
        it.wait(IDLE_SECONDS - 60)
        assert ada.get("/api/me").status == 200
    assert other.get("/api/me").status == 401
    for _ in range(2):
        it.wait(IDLE_SECONDS - 60)
        last = ada.get("/api/me").status
    assert last == 401


def test_after_logging_out_the_cookie_is_worth_nothing(it: Served) -> None:
    ada = it.browser()
    assert ada.post("/api/logout").status == 204
    assert ada.get("/api/me").status == 401


def test_who_is_removed_or_given_another_role_or_password_is_out_at_once(it: Served) -> None:
    users = it.console.users
    old = users.get(ADMIN[0])
    otto = users.get(LOOKER[0])
    assert old is not None
    assert otto is not None
    ada = it.browser()
    users.put(ADMIN[0], otto)
    assert ada.get("/api/me").status == 401
    users.put(ADMIN[0], old)
    assert ada.get("/api/me").status == 401
    looker = it.browser(LOOKER)
    users.remove(LOOKER[0])
    assert looker.get("/api/me").status == 401


def test_a_flood_of_requests_of_one_login_is_slowed_down(it: Served) -> None:
    ada, other = it.browser(), it.browser(LOOKER)
    statuses = [ada.get("/api/me").status for _ in range(400)]
    assert 429 in statuses
    assert other.get("/api/me").status == 200
    it.wait(10)
    assert ada.get("/api/me").status == 200


def test_a_login_has_so_many_streams_and_no_more(tmp_path: Path) -> None:
    with served(tmp_path / "c.sock") as peer, console(tmp_path, {"a": peer.path}) as it:
        ada, path = it.browser(), "/api/devices/a/stream?topic=trace"
        streams = [ada.stream(path) for _ in range(MAX_STREAMS_OF_A_LOGIN)]
        for one in streams:
            one.__enter__()
        assert ada.get(path).status == 429
        streams[0].__exit__(None, None, None)
        wait_until("a place", lambda: sum(it.console.streams.values()) < len(streams))
        with ada.stream(path):
            pass
        for one in streams[1:]:
            one.__exit__(None, None, None)


def test_a_stream_ends_with_its_login(it: Served) -> None:
    ada = it.browser()
    with ada.stream("/api/devices/gateway/stream?topic=trace") as events:
        assert ada.post("/api/logout").status == 204
        it.wait(60)
        assert list(events) == []


def test_a_body_that_is_too_long_or_no_JSON_is_refused(it: Served) -> None:
    ada = it.browser()
    assert ada.put(ALG, b"x" * (MAX_BODY + 1), Content_Type="application/json").status == 413
    assert ada.put(ALG, b"{", Content_Type="application/json").status == 400
    # What a form of another site could send.
    assert ada.put(ALG, json.dumps(OFF).encode(), Content_Type="text/plain").status == 400
    assert ada.put(ALG, b"[" * 60_000, Content_Type="application/json").status == 400
