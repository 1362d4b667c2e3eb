"""The screenshots of docs/studio.md: each view as it is now, small enough for the repository.

`GLASSFORMER_PICTURES=docs/pictures` writes them there; otherwise they are made elsewhere and only checked.
"""

import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.studio.chromium import NEEDED, Open, press, reads, screen, seen

pytestmark = NEEDED

LARGEST = 150_000  # bytes of one picture
LAPTOP, PHONE = (1180, 760), (390, 780)
SCIENCE, STATION = "I love data science", "Where is the station?"
CROSS = "decoder.layers.1.cross_attention.weights"
PICTURES: Mapping[str, tuple[dict[str, Any], str, tuple[int, int], bool]] = {
    "studio-walk": (
        {"model": "worked-example", "text": SCIENCE, "view": "walk", "at": 14},
        ".board table.numbers",
        LAPTOP,
        False,
    ),
    "studio-pieces": (
        {"model": "tatoeba-en-fr", "text": "I love unbelievable evenings.", "view": "walk", "at": 1},
        ".cuts .word",
        LAPTOP,
        False,
    ),
    "studio-end": (
        {"model": "entities", "text": "Angela Merkel lives in Berlin.", "view": "walk", "at": 999},
        ".end table.ends",
        LAPTOP,
        False,
    ),
    "studio-map": ({"model": "tatoeba-en-fr", "text": STATION, "view": "map"}, ".flow .part", LAPTOP, False),
    "studio-step": (
        {"model": "entities", "text": "Angela Merkel lives in Berlin.", "view": "map", "step": "head.probabilities"},
        ".map table",
        LAPTOP,
        False,
    ),
    "studio-attention": (
        {"model": "tatoeba-en-fr", "text": STATION, "view": "attention", "step": CROSS},
        ".lines svg",
        LAPTOP,
        True,
    ),
    "studio-beams": ({"model": "tatoeba-en-fr", "text": STATION, "view": "beams"}, ".tree svg .node", LAPTOP, False),
    "studio-understand": (
        {"model": "sentiment", "text": "What a waste of an evening.", "view": "understand"},
        "table.lens",
        LAPTOP,
        False,
    ),
    "studio-learn": (
        {"model": "worked-example", "text": SCIENCE, "view": "learn", "target": "j' aime les données"},
        ".figures",
        LAPTOP,
        False,
    ),
    "studio-writing": ({"model": "shakespeare", "text": "ROMEO:", "view": "attention"}, ".tokens", LAPTOP, False),
    "studio-phone": (
        {"model": "worked-example", "text": SCIENCE, "view": "walk", "at": 13},
        ".board table.numbers",
        PHONE,
        True,
    ),
}


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    wanted = os.environ.get("GLASSFORMER_PICTURES")
    return tmp_path_factory.mktemp("pictures") if wanted is None else root / wanted


def taken(browser: Any, path: Path) -> Image.Image:
    """What is on the screen, in as few colours as nobody misses."""
    picture = Image.open(BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
    return picture


@pytest.mark.parametrize("name", PICTURES)
def test_each_view_makes_a_picture(page: Open, folder: Path, name: str) -> None:
    state, drawn, size, dark = PICTURES[name]
    driver = page()
    screen(driver, *size, dark=dark)
    try:
        driver = page(**state)
        assert seen(driver, drawn).is_displayed()
        driver.execute_script("document.activeElement.blur()")
        picture = taken(driver, folder / f"{name}.png")
    finally:
        screen(driver, 1300, 950)
    assert picture.size == size
    colours = picture.getcolors(1_000_000)
    assert colours is not None
    assert len(colours) > 50  # something is drawn
    assert (folder / f"{name}.png").stat().st_size < LARGEST


def test_the_worked_example_in_the_middle_of_its_learning(page: Open, folder: Path) -> None:
    driver: Any = page()
    screen(driver, *LAPTOP)
    try:
        driver = page(train="worked-example")
        press(driver, "Begin")
        reads(driver, ".samples", "step 0")
        for step in range(1, 41):
            press(driver, "one step")
            reads(driver, ".figures", f"step\n{step}\n")
        reads(driver, ".train .lead", "held")
        taken(driver, folder / "studio-training.png")
        press(driver, "stop")
        reads(driver, ".train .lead", "stopped")
    finally:
        screen(driver, 1300, 950)
    assert (folder / "studio-training.png").stat().st_size < LARGEST


def test_the_guide_shows_pictures_that_are_there(root: Path) -> None:
    guide = (root / "docs" / "studio.md").read_text("utf-8")
    pictures = sorted((root / "docs" / "pictures").glob("studio-*.png"))
    assert {path.stem for path in pictures} == {*PICTURES, "studio-training"}
    for path in pictures:
        assert f"pictures/{path.name}" in guide
        assert path.stat().st_size < LARGEST
    assert sum(path.stat().st_size for path in pictures) < 1_000_000
