"""A studio without a network: its application, asked directly, and its page in a browser."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient
from tests.studio.chromium import Open, served, started

from glassformer.studio.app import create_app


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(), base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with served() as address:
        yield address


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    driver = started(tmp_path_factory.mktemp("browser"))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Open]:
    """Opens the studio's page at a state; whatever the browser complains of afterwards is a failure."""
    browser.get_log("browser")

    def opened(**state: Any) -> Any:
        browser.get("about:blank")
        browser.get(address + ("#" + urlencode(state) if state else ""))
        return browser

    yield opened
    wrong = [each for each in browser.get_log("browser") if each["level"] == "SEVERE"]
    assert not [each for each in wrong if "400 (Bad Request)" not in each["message"]]
