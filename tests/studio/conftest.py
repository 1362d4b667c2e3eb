"""A studio without a network: its application, asked directly."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from glassformer.studio.app import create_app


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(), base_url="http://127.0.0.1:8000") as client:
        yield client
