"""The console in a real browser, on a real gateway: what a person sees and changes there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from p4alg.lab import runner
from peers import ftp
from tests.integration.browser import LOOKER, NEEDS_CHROMIUM, Browser, browser, console, wait_for
from tests.integration.conftest import Lab, up

SIZE = 200_000
URL = "ftp://198.51.100.11"
PROGRAMS = ("ip", "ethtool", "vsftpd", "curl")
VIEWS = (
    "overview",
    "algs",
    "sessions",
    "calls",
    "pinholes",
    "bindings",
    "subscribers",
    "trace",
    "events",
    "log",
    "audit",
    "config",
)

pytestmark = [
    pytest.mark.lab,
    NEEDS_CHROMIUM,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
    pytest.mark.skipif(
        any(shutil.which(program) is None for program in PROGRAMS),
        reason=f"needs {', '.join(PROGRAMS)} on PATH",
    ),
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with up("embedded") as it:
        yield it


@pytest.fixture(scope="module")
def server(lab: Lab) -> ftp.Server:
    return ftp.serve("outside1", SIZE)


@pytest.fixture(scope="module")
def url(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    socket = runner.control_socket()
    assert socket is not None
    with console(tmp_path_factory.mktemp("console"), {"gateway": socket}) as it:
        yield it


def state_of(page: Browser, alg: str) -> str:
    return next((row[1] for row in page.rows() if row[0] == alg), "")


def active_transfer(server: ftp.Server) -> ftp.Transfer:
    return ftp.fetch("curl", "inside1", server, URL, "PORT", 6.0)


def test_the_configuration_is_edited_compared_committed_and_taken_back(lab: Lab, url: str) -> None:
    with browser(url) as page:
        page.login()
        page.go("config")
        wait_for("the text", lambda: page.one("#text").get_property("value"))
        text = str(page.one("#text").get_property("value"))
        before = page.rows()
        # What is wrong is said with its place, and cannot be committed.
        page.write("#text", text + "nosuch: 1\n")
        page.button("Show the difference").click()
        page.shows("It cannot be committed:")
        page.shows("nosuch", ".effects")
        assert not page.button("Commit").is_enabled()
        page.write("#text", text.replace("[ftp, ftp-alt]", "[ftp-alt]"))
        page.button("Show the difference").click()
        page.shows("+  ftp: {services: [ftp-alt]}", ".diff")
        page.one("#why").send_keys("only the other port")
        page.picture("diff-1280-light")
        page.button("Commit").click()
        page.shows("holds now")
        assert lab.show("algs")[0]["services"] == ["ftp-alt"]
        wait_for("a revision", lambda: len(page.rows()) == len(before) + 1)
        assert page.rows()[0][2:4] == ["ada (console)", "only the other port"]
        page.button(f"Go back to {before[0][0]}").click()
        wait_for("back", lambda: lab.show("algs")[0]["services"] == ["ftp", "ftp-alt"])
        page.picture("config-history-1280-light")


def test_an_active_transfer_fails_with_FTP_off_in_the_dialog_and_works_with_it_on(
    lab: Lab, server: ftp.Server, url: str
) -> None:
    assert active_transfer(server).intact
    with browser(url) as page:
        page.login()
        page.go("algs")
        page.button("Edit ftp").click()
        assert page.one("dialog h2").text == "Edit ALG ftp"
        page.picture("dialog-1280-light")
        page.one("#enable").click()
        page.button("OK").click()
        wait_for("off", lambda: state_of(page, "ftp") == "off")
        assert page.all("dialog") == []
        assert not active_transfer(server).intact
        # Once more, by keyboard only: the box has the focus, and OK is the form's default.
        page.button("Edit ftp").send_keys(Keys.ENTER)
        page.one("#enable").send_keys(Keys.SPACE, Keys.ENTER)
        wait_for("on", lambda: state_of(page, "ftp") == "on")
        assert active_transfer(server).intact
        page.go("audit")
        page.shows("ftp: off")
        page.shows("ftp: on")
        page.go("events")
        page.shows("ftp PORT")
        seen = len(page.rows())
        assert active_transfer(server).intact
        # They come by themselves.
        wait_for("new events", lambda: len(page.rows()) > seen, 5.0)
        page.go("log")
        page.shows("ada (console) committed revision")


def test_a_service_is_moved_between_the_lists_and_new_connections_go_by_it(
    lab: Lab, server: ftp.Server, url: str
) -> None:
    with browser(url) as page:
        page.login()
        page.go("algs")
        page.button("Edit ftp").click()
        page.one("#selected option[value=ftp]").click()
        page.button("← Remove").click()
        assert [one.get_attribute("value") for one in page.all("#selected option")] == ["ftp-alt"]
        page.button("OK").click()
        wait_for("its services", lambda: page.rows()[0][2] == "ftp-alt")
        assert not active_transfer(server).intact
        page.button("Edit ftp").click()
        page.one("#available option[value=ftp]").click()
        page.button("Add →").click()
        page.button("OK").click()
        wait_for("its services", lambda: page.rows()[0][2] == "ftp-alt, ftp")
        assert active_transfer(server).intact


def test_what_the_controller_refuses_is_said_in_the_dialog(lab: Lab, url: str) -> None:
    with browser(url) as page:
        page.login()
        page.go("algs")
        page.button("Edit ftp").click()
        page.one("#available option[value=sip]").click()
        page.button("Add →").click()
        page.button("OK").click()
        page.shows("sip", "dialog .alert")
        page.one("#enable").send_keys(Keys.ESCAPE)
        wait_for("no dialog", lambda: not page.all("dialog"))
    assert "sip" not in lab.show("algs")[0]["services"]


def test_a_control_message_is_shown_as_read_and_as_sent(
    lab: Lab, server: ftp.Server, url: str
) -> None:
    with browser(url) as page, browser(url, 390, dark=True) as small:
        for one in (page, small):
            one.login()
            one.go("trace")
            one.shows("No control message yet")

        def traced() -> bool:
            assert active_transfer(server).intact
            return all("PORT 10,0,0,11," in one.text() for one in (page, small))

        wait_for("a message", traced)
        for one, name in ((page, "message-1280-light"), (small, "message-390-dark")):
            one.one(".filters input[type=checkbox]").click()
            assert {verdict.text for verdict in one.all(".verdict")} == {"rewritten"}
            assert one.one("del").text.startswith("10,0,0,11,")
            assert one.one("ins").text.startswith("203,0,113,5,")
            assert "-> 10.0.0.11:" in one.one(".opens").text
            one.picture(name)


def test_who_may_look_on_sees_the_dialog_and_changes_nothing(lab: Lab, url: str) -> None:
    with browser(url) as page:
        page.login(LOOKER)
        page.go("algs")
        page.button("Edit ftp").click()
        assert not page.one("#enable").is_enabled()
        assert not page.button("OK").is_enabled()
        page.shows("You may look, but not change.", "dialog")
        # Nor by a request of his own, with all that his page has.
        refused = page.driver.execute_async_script(
            "const done = arguments[0]; const me = await (await fetch('/api/me')).json();"
            "const answer = await fetch('/api/devices/gateway/algs/ftp', {method: 'PUT',"
            "headers: {'Content-Type': 'application/json', 'X-CSRF-Token': me.csrf},"
            "body: JSON.stringify({enabled: false, services: ['ftp']})});"
            "done([answer.status, (await answer.json()).error]);"
        )
        assert refused == [403, "'otto' may look, but change nothing: ask an admin"]
    assert lab.show("algs")[0]["enabled"] is True


def test_a_forged_cookie_is_the_login_page(url: str) -> None:
    with browser(url) as page:
        page.driver.get(url)
        page.one("#name")
        page.driver.add_cookie({"name": "p4alg", "value": "forged", "httpOnly": True})
        page.go("algs")
        page.driver.refresh()
        page.one("#password")
        assert "nav" not in {one.tag_name for one in page.all("body *")}
        page.one("#name").send_keys("ada")
        page.one("#password").send_keys("not the password\n")
        page.shows("wrong name or password", ".login")


@pytest.mark.parametrize(
    ("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)]
)
def test_every_view_fits_the_window(lab: Lab, url: str, width: int, dark: bool) -> None:
    with browser(url, width, dark=dark) as page:
        page.login()
        for view in VIEWS:
            page.go(view)
            wait_for(view, lambda: page.all("main h1") and "Loading" not in page.text())
            page.picture(f"{view}-{width}-{'dark' if dark else 'light'}")
            assert page.overflow() <= 0, view
            assert page.text("#alert") == "", view
        page.go("algs")
        page.button("Edit sip").click()
        page.one("dialog")
        page.picture(f"edit-{width}-{'dark' if dark else 'light'}")
        assert page.overflow() <= 0


def test_a_controller_that_goes_is_one_clear_message_and_comes_back(lab: Lab, url: str) -> None:
    with browser(url) as page:
        page.login()
        page.go("algs")
        wait_for("ALGs", page.rows)
        process = next(one for one in runner.current().processes if one.name == "controller")
        os.kill(process.pid, 15)
        wait_for("gone", lambda: "no controller at" in page.text("#alert"))
        assert len(page.all("[role=alert]:not([hidden])")) == 1
        page.picture("gone-1280-light")
        runner.restart("controller")
        wait_for("back", lambda: page.text("#alert") == "")
        wait_for("ALGs", page.rows)
