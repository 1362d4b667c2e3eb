"""The page is there before torch is, and who asks for a run waits until it can be made."""

import subprocess
import sys
import threading
import time

from fastapi.testclient import TestClient
from starlette.applications import Starlette

from glassformer.studio.app import create_app
from glassformer.studio.front import Front


def test_the_page_comes_first_and_the_studio_as_soon_as_it_is_made() -> None:
    may_begin = threading.Event()

    def make() -> Starlette:
        may_begin.wait(30)
        return create_app()

    with TestClient(Front(make), base_url="http://127.0.0.1:8000") as client:
        assert "glassformer studio" in client.get("/").text
        assert client.get("/js/main.js").status_code == 200
        listed = client.get("/api/models").json()
        assert {"worked-example", "sentiment"} <= {each["name"] for each in listed}
        threading.Timer(0.5, may_begin.set).start()
        begun = time.monotonic()
        run = client.post("/api/runs", json={"model": "worked-example", "text": "I love data science"}).json()
        assert time.monotonic() - begun > 0.4
        assert run["answer"]["said"] == "j' aime la science des données"
        assert client.get("/api/models").json() == listed


def test_its_server_needs_no_torch_to_begin() -> None:
    code = "import sys, glassformer.studio.server; print(sorted({'torch', 'numpy', 'fastapi'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
