"""The studio in a real browser, for the tests: left out where there is no Chromium."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from glassformer.studio.app import create_app
from glassformer.studio.safety import Guard
from glassformer.studio.server import bound

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDED = [
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="no chromium and chromedriver here"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
REDRAWN = (NoSuchElementException, StaleElementReferenceException)  # while one looks
WAIT = 60  # seconds; a machine may be busy

Open = Callable[..., Any]


@contextmanager
def served() -> Iterator[str]:
    """The address of a studio in this process."""
    listener, place = bound("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(Guard(create_app(), place.port), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield place.address
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()


def started(profile: Path) -> Any:
    """A browser."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, "--window-size=1300,950", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))


def screen(driver: Any, width: int, height: int, *, dark: bool = False) -> None:
    """A screen of this size, light or dark."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def seen(browser: Any, selector: str) -> Any:
    """An element, once the run is whole."""
    return WebDriverWait(browser, WAIT).until(
        lambda driver: (
            not driver.find_elements(By.CSS_SELECTOR, "[aria-busy]")
            and driver.find_element(By.CSS_SELECTOR, selector)
        ),
        selector,
    )


def reads(browser: Any, selector: str, text: str) -> None:
    """Wait until an element holds a text, and the run is whole."""
    waiting = WebDriverWait(browser, WAIT, ignored_exceptions=REDRAWN)
    waiting.until(
        lambda driver: (
            not driver.find_elements(By.CSS_SELECTOR, "[aria-busy]")
            and text in driver.find_element(By.CSS_SELECTOR, selector).text
        ),
        f"{selector}: {text}",
    )


def numbers_in(browser: Any) -> list[list[float]]:
    """The table of a step's own numbers, exactly."""
    read = "return [...document.querySelectorAll('table.numbers tbody tr')].map((row) => "
    rows = browser.execute_script(read + "[...row.querySelectorAll('td')].map((cell) => cell.title))")
    return [[float(title.replace("−", "-")) for title in row] for row in rows]


def press(browser: Any, title: str) -> None:
    """A button or link by what it says."""
    seen(browser, "#main")
    found = f"//main//*[self::button or self::a][normalize-space()='{title}']"
    waiting = WebDriverWait(browser, WAIT, ignored_exceptions=REDRAWN)
    click = "arguments[0].click(); return true"
    waiting.until(lambda driver: driver.execute_script(click, driver.find_element(By.XPATH, found)))


def pointed(browser: Any, row: int, column: int) -> float:
    """What the page says of the number of a heat map that keys have gone to."""
    box = browser.find_element(By.CSS_SELECTOR, ".heat")
    send = (
        "for (const [key, times] of [['ArrowDown', arguments[1]], ['ArrowRight', arguments[2]]]) "
        "for (let turn = 0; turn < times; turn++) "
        "arguments[0].dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
    )
    browser.execute_script(send, box, row, column)
    return float(browser.find_element(By.CSS_SELECTOR, ".readout .exact").text.replace("−", "-"))
