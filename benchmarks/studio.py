"""The studio in Chromium: first picture, a click in a large model, memory after many clicks, scrolling a large matrix.

    python benchmarks/studio.py [--axe axe.min.js] [--json FILE]

Needs chromium and chromedriver, and the extras `studio` and `test`. The large model is GPT-2's size (124 million random
parameters) on 64 tokens, the large matrix the attention of one head over 1,024 tokens. Frames are those that Chromium's
own tracing says were drawn. With axe-core's script every view is also checked for violations, light and dark.
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from selenium import webdriver
from selenium.webdriver.common.by import By

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1300,950"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SHIPPED = {
    "worked-example": "I love data science",
    "sentiment": "What a waste of an evening.",
    "entities": "Angela Merkel lives in Berlin.",
    "minilm-l6": "I love data science",
    "tatoeba-en-fr": "Where is the station?",
}
CLICKS = 200
VIEWS = ("walk", "map", "attention", "beams")
SHOWN = """
const [wanted, done] = [arguments[0], arguments[arguments.length - 1]];
const start = performance.now();
if (wanted.hash) location.hash = wanted.hash;
const look = () => {
  const title = document.querySelector("#main h2");
  const drawn = document.querySelector("#main canvas, #main table.numbers");
  if (title && drawn && (!wanted.name || title.textContent === wanted.name)) {
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - (wanted.hash ? start : 0)), 0));
  } else if (performance.now() - start > 90000) done(-1);
  else requestAnimationFrame(look);
};
look();
"""
SCROLL = """
const done = arguments[arguments.length - 1];
const box = document.querySelector(".heat");
const times = [];
const step = (now) => {
  times.push(now);
  box.scrollTop += 23; box.scrollLeft += 17;
  if (box.scrollTop + box.clientHeight >= box.scrollHeight - 1) { box.scrollTop = 0; box.scrollLeft = 0; }
  if (times.length < 180) requestAnimationFrame(step);
  else done((times.length - 1) / (times[times.length - 1] - times[0]) * 1000);
};
requestAnimationFrame(step);
"""


def make(folder: Path, *, layers: int, d_model: int, heads: int, positions: int, vocabulary: int) -> None:
    """A random GPT-2 of these sizes, with a tokenizer of single bytes and, up to its vocabulary, of numbered tokens."""
    from glassformer.families import FAMILIES
    from glassformer.model import Transformer
    from glassformer.pretrained import save_transformer
    from glassformer.text.tokenizer import Tokenizer

    raw = {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_layer": layers,
        "n_embd": d_model,
        "n_head": heads,
        "n_positions": positions,
        "vocab_size": vocabulary,
    }
    save_transformer(folder, Transformer(FAMILIES["gpt2"].config(raw)), raw=raw)
    tokenizer = Tokenizer.train("byte-bpe", ["a"], vocab_size=257)
    tokenizer.add([f"<{number}>" for number in range(tokenizer.vocab_size, vocabulary)])
    tokenizer.save(folder)


@contextmanager
def studio() -> Iterator[str]:
    """The studio's address while it runs."""
    command = [sys.executable, "-m", "glassformer", "studio", "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().split(" at ")[1].split()[0]
        time.sleep(1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def browser() -> Iterator[Any]:
    """A browser that traces what it draws."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        categories = {"traceCategories": "devtools.timeline.frame,devtools.timeline"}
        options.add_experimental_option("perfLoggingPrefs", categories)
        service = webdriver.ChromeService(shutil.which("chromedriver") or "chromedriver")
        driver = webdriver.Chrome(options=options, service=service)
        driver.set_script_timeout(120)
        try:
            yield driver
        finally:
            driver.quit()


def opened(driver: Any, address: str, **state: str) -> float:
    """Milliseconds from the start of a navigation to the first picture."""
    driver.get("about:blank")
    driver.get(f"{address}#{urlencode(state)}")
    return float(driver.execute_async_script(SHOWN, {}))


def clicked(driver: Any, name: str, **state: str) -> float:
    """Milliseconds until another step is on the screen."""
    return float(driver.execute_async_script(SHOWN, {"hash": f"#{urlencode(state)}", "name": name}))


def memory() -> float:
    """MiB that the page's process alone holds."""
    total = 0.0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if b"--type=renderer" not in (path / "cmdline").read_bytes():
                continue
            lines = (path / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        private = sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
        total = max(total, private / 1024)
    return total


def frames(driver: Any) -> int:
    """How many frames Chromium's tracing saw drawn since it was last asked."""
    found = 0
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Tracing.dataCollected" and message["params"].get("name") == "DrawFrame":
            found += 1
    return found


def checked(driver: Any, address: str, axe: str) -> dict[str, list[str]]:
    """Every view's violations, light and dark."""
    found: dict[str, list[str]] = {}
    for name, text in SHIPPED.items():
        for view in VIEWS:
            opened(driver, address, model=name, text=text, view=view)
            for light in ("light", "dark"):
                driver.execute_script(axe)
                result = driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
                wrong = [f"{each['impact']}: {each['id']}" for each in result["violations"]]
                if wrong:
                    found[f"{name} {view} {light}"] = wrong
                driver.find_element(By.ID, "light").click()
                time.sleep(0.5)
    return found


def measured(driver: Any, address: str, folder: Path) -> dict[str, Any]:
    """Everything but accessibility."""
    first = {}
    for name, text in SHIPPED.items():
        cold = opened(driver, address, model=name, text=text, view="walk")
        again = statistics.median(opened(driver, address, model=name, text=text, view="walk") for _ in range(3))
        first[name] = {"cold_ms": cold, "again_ms": again}
    large = {"model": str(folder / "large"), "text": "x" * 64, "view": "map"}
    if opened(driver, address, **large) < 0:
        raise SystemExit(f"the large model was not shown: {driver.find_element(By.ID, 'said').text}")
    names = [each.get_attribute("title") for each in driver.find_elements(By.CSS_SELECTOR, ".map li a")]
    turns = [names[(7 * turn) % len(names)] for turn in range(CLICKS)]
    clicks = [clicked(driver, name, **large, step=name) for name in turns]
    held = memory()
    wide = {"model": str(folder / "wide"), "text": "x" * 1024, "view": "map"}
    opened(driver, address, **wide, step="decoder.layers.0.self_attention.weights")
    frames(driver)
    started = time.perf_counter()
    rate = driver.execute_async_script(SCROLL)
    drawn = frames(driver) / (time.perf_counter() - started)
    return {
        "first_picture": first,
        "click_ms": {
            "median": statistics.median(clicks),
            "95 %": sorted(clicks)[int(0.95 * len(clicks))],
            "largest": max(clicks),
        },
        "memory_after_200_clicks_mib": held,
        "scrolling": {"frames_per_second": rate, "drawn_per_second": drawn},
    }


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axe", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, studio() as address, browser() as driver:
        folder = Path(place)
        make(folder / "large", layers=12, d_model=768, heads=12, positions=1024, vocabulary=50257)
        make(folder / "wide", layers=1, d_model=64, heads=2, positions=1024, vocabulary=257)
        found = {"machine": platform.processor() or platform.machine(), **measured(driver, address, folder)}
        if arguments.axe is not None:
            found["violations"] = checked(driver, address, arguments.axe.read_text("utf-8"))
    for name, each in found["first_picture"].items():
        print(f"first picture of {name:<16} {each['cold_ms']:7.0f} ms cold, {each['again_ms']:6.0f} ms again")
    click = found["click_ms"]
    print(f"a click, 124 M on 64 tokens    {click['median']:7.0f} ms median, {click['95 %']:.0f} for 95 %")
    print(f"memory after 200 clicks        {found['memory_after_200_clicks_mib']:7.0f} MiB")
    scrolling = found["scrolling"]
    asked, drawn = scrolling["frames_per_second"], scrolling["drawn_per_second"]
    print(f"scrolling 1,024 x 1,024        {asked:7.0f} frames/s asked for, {drawn:.0f} drawn")
    if "violations" in found:
        print(f"views with violations          {len(found['violations']):7}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
