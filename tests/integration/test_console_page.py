"""The page of the console with much to show, and with what hostile peers chose. No root needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By

from p4alg.config.errors import UserError
from p4alg.daemon.protocol import failure, success
from p4alg.daemon.selection import parse
from tests.integration.browser import NEEDS_CHROMIUM, Browser, browser, console, wait_for
from tests.unit.daemon.peers import Served, served

pytestmark = NEEDS_CHROMIUM

MANY = 10_000
EVIL = (
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "\"><svg onload=document.title='owned'>",
    "javascript:document.title='owned'",
    "</td></tr></table><h1 id=owned>",
    "\u202eowned\x1b]0;owned\x07",
)
VIEWS = (
    "overview",
    "algs",
    "sessions",
    "calls",
    "pinholes",
    "bindings",
    "subscribers",
    "events",
    "log",
)


def _session(n: int) -> dict[str, Any]:
    return {
        "organisation": "default",
        "proto": "tcp",
        "inside": f"10.0.{n // 250}.{n % 250 + 1}:{1024 + n}",
        "outside": f"203.0.113.1:{1024 + n}",
        "remote": "198.51.100.11:80",
        "state": "established",
        "alg": "",
        "label": "",
        "opened_by": "inside",
        "age": float(n),
        "kept_by": "controller",
    }


def _alg(name: str, text: str) -> dict[str, Any]:
    return {
        "organisation": "default",
        "name": name,
        "description": text,
        "enabled": True,
        "services": [text],
        "ports": [text],
        "sessions": 0,
        "counters": {text: 1},
    }


class Gateway:
    """What the double of a controller has to show. It answers as `daemon.app` does."""

    def __init__(self, rows: dict[str, list[dict[str, Any]]], tables: dict[str, Any]) -> None:
        self.rows = rows
        self.tables = tables

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out a request."""
        command, what = request.get("command"), str(request.get("what"))
        if command == "events":
            return success(self.rows.get("happenings", []))
        if command == "latency":
            return success({})
        if command != "show":
            return failure(f"no command '{command}'", 2)
        if what == "counters":
            return success({})
        if what == "switch":
            return success({"tables": self.tables})
        try:
            chosen = parse(what, request.get("select", {}))
        except UserError as error:
            return failure(str(error), error.status)
        rows = self.rows.get(what, [])
        found = chosen.cut([row for row in rows if chosen.fits(row)])
        plain = what in ("sessions", "bindings", "subscribers") and request.get("plain")
        answer = len(found) if request.get("count") else found
        return success({"plain_flows": True, "rows": answer} if plain else answer)


def everything(text: str) -> dict[str, list[dict[str, Any]]]:
    """A row of each view in which all that a peer can have a say in is `text`."""
    own = {"organisation": "default"}
    ends = {key: text for key in ("proto", "inside", "outside", "remote", "state", "alg", "label")}
    return {
        "algs": [_alg("ftp", text)],
        "services": [{**own, "name": text, "ports": [text], "alg": text}],
        "sessions": [{**own, **ends, "age": 1.0, "kept_by": text}],
        "bindings": [{**own, **ends, "kind": text, "sessions": 1, "age": 1.0, "kept_by": text}],
        "pinholes": [{**own, **ends, "id": 1, "control": text, "age": 1.0, "expires_in": 1.0}],
        "subscribers": [{**own, "address": text, "outside": text, "blocks": [text]}],
        "calls": [
            {
                **own,
                **ends,
                **{key: text for key in ("call_id", "direction", "from", "to")},
                "age": 1.0,
                "streams": [{"media": text, "inside": text, "remote": text}],
            }
        ],
        "happenings": [
            {
                **own,
                **ends,
                **{key: text for key in ("time", "kind", "event", "reason", "text")},
            }
        ],
        "events": [{**own, "time": text, "level": text, "text": text}],
    }


def record(text: str) -> dict[str, Any]:
    ends = {key: text for key in ("alg", "client", "server", "sender", "inside", "summary")}
    told = {"reason": text, "before": text, "after": f"{text} and more", "pinholes": [text]}
    return {**ends, **told, "time": text, "verdict": "rewritten", "organisation": "default"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def hostile(folder: Path) -> Iterator[Served]:
    rows = {
        view: [row for text in EVIL for row in everything(text)[view]] for view in everything("")
    }
    tables = {text: {"entries": 1, "size": 2} for text in EVIL}
    with served(folder / "hostile.sock", Gateway(rows, tables).answer) as it:
        yield it


@pytest.fixture(scope="module")
def url(folder: Path, hostile: Served) -> Iterator[str]:
    big = Gateway({"sessions": [_session(n) for n in range(MANY)], "algs": [_alg("ftp", "x")]}, {})
    empty = Gateway({}, {})
    with (
        served(folder / "big.sock", big.answer),
        served(folder / "empty.sock", empty.answer),
        console(
            folder,
            {name: folder / f"{name}.sock" for name in ("hostile", "big", "empty", "gone")},
        ) as it,
    ):
        yield it


def is_unharmed(page: Browser) -> None:
    assert "owned" not in page.driver.title
    assert page.driver.find_elements(By.ID, "owned") == []
    inside = page.driver.execute_script(
        "return document.querySelectorAll('#view img, #view script, #view svg[onload], dialog img')"
        ".length"
    )
    assert inside == 0


def test_what_a_peer_chose_is_text_in_every_view(hostile: Served, url: str) -> None:
    with browser(url) as page:
        page.login()
        for view in VIEWS:
            page.go(view, "hostile")
            wait_for(view, lambda: EVIL[0] in page.text("#view"))
            assert EVIL[1] in page.text("#view")
            is_unharmed(page)
        page.go("trace", "hostile")
        page.shows("No control message yet")
        wait_for("a reader", lambda: hostile.traces.wanted)
        for text in EVIL:
            hostile.publish(record(text))
        wait_for("all", lambda: len(page.all(".message")) == len(EVIL))
        assert EVIL[0] in page.text("#view")
        is_unharmed(page)
        page.go("algs", "hostile")
        page.button("Edit ftp").click()
        page.shows(EVIL[0], "dialog")
        is_unharmed(page)


def test_ten_thousand_sessions_are_shown_a_page_at_a_time(url: str) -> None:
    with browser(url) as page:
        page.login()
        page.go("sessions", "big")
        page.shows("1-100 of 10,000")
        assert len(page.rows()) == 100
        page.button("Next →").click()
        page.shows("101-200 of 10,000")
        assert page.rows()[0][1] == _session(100)["inside"]
        # The oldest ones first: by that column, twice.
        page.button("Age").click()
        page.shows("1-100 of 10,000")
        page.button("Age").click()
        wait_for("order", lambda: page.rows()[0][1] == _session(MANY - 1)["inside"])
        page.one("input[name=address]").send_keys("10.0.3.0/24\n")
        page.shows("1-100 of 250")
        page.one("input[name=state]").send_keys("closing\n")
        page.shows("No sessions fit that.")
        page.one("input[name=address]").clear()
        page.one("input[name=address]").send_keys("nonsense\n")
        page.shows("'nonsense' is not ADDRESS", "#alert")


@pytest.mark.parametrize("width", [1280, 390])
def test_ten_thousand_sessions_fit_the_window(url: str, width: int) -> None:
    with browser(url, width) as page:
        page.login()
        page.go("sessions", "big")
        page.shows("1-100 of 10,000")
        page.picture(f"many-{width}")
        assert page.overflow() <= 0


def test_an_empty_gateway_says_so_in_every_view(url: str) -> None:
    with browser(url, 390) as page:
        page.login()
        for view, text in (
            ("algs", "This gateway has no ALGs."),
            ("sessions", "No sessions at the moment."),
            ("calls", "No calls at the moment."),
            ("pinholes", "No pinholes at the moment."),
            ("events", "Nothing has happened yet."),
            ("log", "Nothing has been logged."),
        ):
            page.go(view, "empty")
            page.shows(text)
            assert page.overflow() <= 0
            assert page.text("#alert") == ""


def test_of_several_gateways_one_that_is_gone_leaves_the_others(url: str) -> None:
    with browser(url) as page:
        page.login()
        page.go("overview", "big")
        wait_for("all", lambda: len(page.rows()) == 4)
        states = {row[0]: row[1] for row in page.rows()}
        assert states["big"] == "answers"
        assert "no controller at" in states["gone"]
        page.picture("overview-several-1280")
        page.go("sessions", "gone")
        page.shows("no controller at", "#alert")
        page.go("sessions", "big")
        page.shows("1-100 of 10,000")
        assert page.text("#alert") == ""


def test_everything_can_be_reached_by_keyboard(url: str) -> None:
    with browser(url) as page:
        page.login()
        page.go("sessions", "big")
        page.shows("1-100 of 10,000")
        left = page.driver.execute_script(
            "return [...document.querySelectorAll('a, button, input, select, [onclick]')]"
            ".filter((one) => one.offsetParent && !one.disabled && one.tabIndex < 0).length"
        )
        assert left == 0
        unnamed = page.driver.execute_script(
            "return [...document.querySelectorAll('button, input, select, textarea')].filter("
            "(one) => !(one.innerText || one.labels?.length || one.ariaLabel)).length"
        )
        assert unnamed == 0
