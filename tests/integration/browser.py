"""Debian's Chromium without a screen, and a console for it: what tests of the page need."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

SECONDS = 20.0
ADMIN, LOOKER = ("ada", "correct horse battery"), ("otto", "only here to look on")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="needs chromium and chromium-driver (make setup)"
)
_T = TypeVar("_T")


def wait_for(what: str, check: Callable[[], _T], seconds: float = SECONDS) -> _T:
    """What `check` gives, as soon as that is something."""
    until = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.1)
    return found


def _p4alg(*words: str) -> list[str]:
    return [sys.executable, "-m", "p4alg", *words]


@contextmanager
def console(folder: Path, sockets: Mapping[str, Path]) -> Iterator[str]:
    """`p4alg console` for these controllers, with an admin and one who looks on. Gives its URL."""
    state = folder / "console"
    for (name, password), role in ((ADMIN, "admin"), (LOOKER, "read-only")):
        command = _p4alg("console", "user", "add", name, "--role", role, "--state", str(state))
        subprocess.run(command, input=password, text=True, check=True, capture_output=True)
    devices = [word for name, path in sockets.items() for word in ("--device", f"{name}={path}")]
    command = _p4alg("console", "--listen", "127.0.0.1:0", "--state", str(state), *devices)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], SECONDS)
        assert ready, "the console does not start"
        line = process.stdout.readline().strip()
        assert line.startswith("p4alg: console at http"), line
        yield line.split()[-1]
        process.terminate()
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Browser:
    """A browser that shows the console at `url`."""

    def __init__(self, url: str, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        options = webdriver.ChromeOptions()
        assert CHROMIUM is not None
        assert DRIVER is not None
        options.binary_location = CHROMIUM
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.url = url
        self.driver = webdriver.Chrome(options, Service(DRIVER))
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def all(self, selector: str) -> list[WebElement]:
        """The elements that a CSS selector finds."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """The first of them that can be seen, as soon as there is one."""

        def seen() -> WebElement | None:
            return next((one for one in self.all(selector) if one.is_displayed()), None)

        found = wait_for(selector, seen)
        assert found is not None
        return found

    def button(self, text: str) -> WebElement:
        """The button with that text, as soon as there is one."""
        path = f"//button[normalize-space()='{text}']"

        def seen() -> WebElement | None:
            return next(iter(self.driver.find_elements(By.XPATH, path)), None)

        found = wait_for(text, seen)
        assert found is not None
        return found

    def login(self, who: tuple[str, str] = ADMIN) -> None:
        """Log in, as somebody does at the keyboard."""
        self.driver.get(self.url)
        self.one("#name").send_keys(who[0])
        self.one("#password").send_keys(who[1] + "\n")
        self.one("nav a")

    def go(self, view: str, device: str = "gateway") -> None:
        """Show a view."""
        self.driver.get(f"{self.url}#/{device}/{view}")

    def write(self, selector: str, text: str) -> None:
        """Have a field hold a text, as if it had been pasted."""
        self.driver.execute_script(
            "arguments[0].value = arguments[1];"
            "arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
            self.one(selector),
            text,
        )

    def text(self, selector: str = "main") -> str:
        """What an element shows; empty if there is none."""
        found: str = self.driver.execute_script(
            "return document.querySelector(arguments[0])?.innerText ?? ''", selector
        )
        return found

    def shows(self, text: str, selector: str = "main") -> None:
        """Wait until an element shows a text."""
        wait_for(f"'{text}' in {selector}", lambda: text in self.text(selector))

    def rows(self) -> list[list[str]]:
        """The texts of the cells of the table."""
        found: list[list[str]] = self.driver.execute_script(
            "return [...document.querySelectorAll('tbody tr')].map("
            "(row) => [...row.cells].map((cell) => cell.innerText))"
        )
        return found

    def overflow(self) -> int:
        """How many pixels the page is wider than the window."""
        wide: int = self.driver.execute_script(
            "return document.documentElement.scrollWidth - window.innerWidth"
        )
        return wide

    def complaints(self) -> list[str]:
        """What the browser has complained of: scripts that failed, and what the policy forbade."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")  # type: ignore[no-untyped-call]
            if "Failed to load resource" not in entry["message"]
        ]

    def picture(self, name: str) -> None:
        """Keep a picture of the page where P4ALG_PICTURES says, if it does."""
        folder = os.environ.get("P4ALG_PICTURES")
        if folder:
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))


@contextmanager
def browser(
    url: str, width: int = 1280, height: int = 900, dark: bool = False
) -> Iterator[Browser]:
    """A browser, while in the context. The page must not have failed in it at the end."""
    it = Browser(url, width, height, dark)
    try:
        yield it
        assert it.complaints() == []
    finally:
        it.driver.quit()
