"""A headless Chromium for the tests that look at pages; without one they are skipped."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """One window, and what is read from the page that it shows."""

    def __init__(self, profile: Path) -> None:
        webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if chromium is None or driver is None:
            pytest.skip("chromium and chromedriver are not installed")
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))

    def size(self, width: int, height: int, dark: bool = False) -> None:
        """A window, or a phone, by day or by night."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def open(self, page: Path, state: str = "") -> None:
        """Load a page anew and wait until it has drawn itself."""
        self.driver.get("about:blank")
        self.driver.get(f"{page.as_uri()}#{state}")
        self.wait("document.documentElement.dataset.ready")

    def wait(self, condition: str) -> None:
        """Until an expression is true."""
        for _ in range(1500):  # half a minute, on a machine with much else to do
            if self.ask(condition):
                return
            time.sleep(0.02)
        raise AssertionError(f"the page never came to: {condition}; {self.errors()}")

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        return self.driver.execute_script(f"return {expression}")

    def texts(self, selector: str) -> list[str]:
        """The text of every element of a kind."""
        return self.ask(f"[...document.querySelectorAll({selector!r})].map((one) => one.textContent)")

    def errors(self) -> list[str]:
        """What the page complained of."""
        return [entry["message"] for entry in self.driver.get_log("browser")]
