"""The studio in Chromium: first picture, a click in a large model, memory after many clicks, scrolling a large matrix.

    python benchmarks/studio.py [--only first-picture|start|click|scroll|accessibility] [--axe axe.min.js] [--json FILE]

Needs chromium and chromedriver, and the extras `studio` and `test`. The large model is GPT-2's size (124 million random
parameters) on 64 tokens, the large matrix the attention of one head over 1,024 tokens. Frames are those that Chromium's
own tracing says were drawn. With axe-core's script every view is also checked for violations by its address,
light and dark, on a laptop's screen and on a phone's.

Each part stands alone and has a limit of its own; progress goes to stderr, and what was measured is kept when another
part fails. The load of the machine before and after stands beside the figures.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1300,950"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SHIPPED = {
    "worked-example": {"text": "I love data science"},
    "sentiment": {"text": "What a waste of an evening."},
    "entities": {"text": "Angela Merkel lives in Berlin."},
    "answers": {
        "text": "Where was Marie Curie born?",
        "context": "Marie Curie was born in Warsaw in 1867. She moved to Paris in 1891.",
    },
    "minilm-l6": {"text": "I love data science"},
    "tatoeba-en-fr": {"text": "Where is the station?"},
    "shakespeare": {"text": "ROMEO:"},
    "summaries": {"text": "Tidyfolder is a command line program that sorts files by type."},
}
CLICKS = 200
REPEATS = 5
PATIENCE = 120  # seconds for one picture
VIEWS = ("walk", "map", "attention", "beams", "understand", "learn")
SHOWN = """
const [wanted, done] = [arguments[0], arguments[arguments.length - 1]];
const start = performance.now();
if (wanted.hash) location.hash = wanted.hash;
const look = () => {
  const title = document.querySelector("#main h2");
  const drawn = document.querySelector("#main canvas, #main table.numbers, #main .cut, #main .flow");
  if (title && drawn && (!wanted.name || title.textContent === wanted.name)) {
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - (wanted.hash ? start : 0)), 0));
  } else if (performance.now() - start > wanted.patience * 1000) done(-1);
  else requestAnimationFrame(look);
};
look();
"""
SCREENS = {"laptop": (1366, 768), "phone": (390, 844)}
SCORES = {"view": "map", "step": "encoder.layers.0.self_attention.scores"}
CHOSEN = (  # what a view shows only when something was chosen: title, model, the rest of the address
    ("pieces", "tatoeba-en-fr", {"view": "walk", "at": "1"}),
    ("numbers of the pieces", "sentiment", {"view": "walk", "at": "2"}),
    ("a step of the walk", "worked-example", {"view": "walk", "at": "14"}),
    *((f"the end of {name}", name, {"view": "walk", "at": "9999"}) for name in SHIPPED if name != "minilm-l6"),
    ("a small step", "worked-example", SCORES),
    ("a large step", "sentiment", SCORES),
    ("the likeliest words", "tatoeba-en-fr", {"view": "map", "step": "head.probabilities"}),
    ("the rows of words", "worked-example", {"view": "map", "step": "source_tokens.weight"}),
    ("a large weight", "sentiment", {"view": "map", "step": "tokens.weight"}),
    ("a change", "sentiment", {"view": "map", "edits": '[{"kind":"zero","name":"encoder.output"}]'}),
    ("two texts", "sentiment", {"view": "understand", "othermodel": "sentiment", "othertext": "A lovely evening."}),
    ("a step of training", "worked-example", {"view": "learn", "target": "j' aime les données", "rate": "0.01"}),
    ("its walk", "worked-example", {"view": "walk", "at": "70", "target": "j' aime les données", "rate": "0.01"}),
    ("its map", "worked-example", {"view": "map", "target": "j' aime les données", "rate": "0.01"}),
)
AXE = """
const done = arguments[arguments.length - 1];
const places = (nodes) => nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ");
axe.run().then(({ violations }) => done(violations.map(
  ({ impact, id, nodes }) => `${impact}: ${id} at ${places(nodes)}`)));
"""
WHOLE = """
const done = arguments[arguments.length - 1];
const look = () => (document.querySelector("[aria-busy]") || !document.querySelector("#main").firstChild
  ? setTimeout(look, 20) : done(performance.now()));
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
  else {
    console.timeStamp("scrolling ends");
    done((times.length - 1) / (times[times.length - 1] - times[0]) * 1000);
  }
};
console.timeStamp("scrolling begins");
requestAnimationFrame(step);
"""


def progress(line: str) -> None:
    """What is being done, for whoever waits."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def make(folder: Path, *, layers: int, d_model: int, heads: int, positions: int, vocabulary: int) -> None:
    """A random GPT-2 of these sizes, with a tokenizer of single bytes and, up to its vocabulary, of numbered tokens."""
    from glassformer.families import FAMILIES
    from glassformer.model import Transformer
    from glassformer.pretrained import save_transformer
    from glassformer.text.tokenizer import Tokenizer

    progress(f"a random model of {layers} layers is written")
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


@dataclass(frozen=True)
class Studio:
    """A studio that runs: its address, and when the command was given."""

    address: str
    process: subprocess.Popen[str]
    begun: float

    def ready(self) -> float:
        """Wait until it can run models; the seconds since the command was given."""
        from urllib.request import urlopen

        with urlopen(f"{self.address}api/takes", timeout=PATIENCE) as response:  # noqa: S310 (this machine's own)
            response.read()
        return time.perf_counter() - self.begun


@contextmanager
def studio(*, ready: bool = True) -> Iterator[Studio]:
    """The studio's address while it runs."""
    command = [sys.executable, "-m", "glassformer", "studio", "--no-browser", "--port", "0"]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        found = Studio(process.stdout.readline().split(" at ")[1].split()[0], process, begun)
        if ready:
            found.ready()
        yield found
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextmanager
def browser(*, traced: bool = False) -> Iterator[Any]:
    """A browser; one that traces what it draws is much slower at opening pages."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        logs = {"browser": "ALL"}
        if traced:
            logs["performance"] = "ALL"
            categories = {"traceCategories": "devtools.timeline.frame,devtools.timeline"}
            options.add_experimental_option("perfLoggingPrefs", categories)
        options.set_capability("goog:loggingPrefs", logs)
        service = webdriver.ChromeService(shutil.which("chromedriver") or "chromedriver")
        driver = webdriver.Chrome(options=options, service=service)
        driver.set_script_timeout(PATIENCE + 30)
        driver.set_page_load_timeout(PATIENCE)
        try:
            yield driver
        finally:
            driver.quit()


def opened(driver: Any, address: str, **state: str) -> float:
    """Milliseconds from the start of a navigation to the first picture."""
    driver.get("about:blank")
    driver.get(f"{address}#{urlencode(state)}")
    found = float(driver.execute_async_script(SHOWN, {"patience": PATIENCE}))
    if found < 0:
        said = driver.find_element(By.ID, "said").text
        raise SystemExit(f"{state.get('model')} was not shown within {PATIENCE} s: {said or 'nothing was said'}")
    return found


def clicked(driver: Any, name: str, **state: str) -> float:
    """Milliseconds until another step is on the screen."""
    wanted = {"hash": f"#{urlencode(state)}", "name": name, "patience": PATIENCE}
    found = float(driver.execute_async_script(SHOWN, wanted))
    if found < 0:
        raise SystemExit(f"{name} was not shown within {PATIENCE} s")
    return found


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


def presented(driver: Any) -> float:
    """Frames a second that Chromium's tracing saw on the screen between the two marks `SCROLL` sets."""
    driver.get("about:blank")  # what was traced is handed out when the page is left
    marks, frames = {}, []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] != "Tracing.dataCollected":
            continue
        event = message["params"]
        if event.get("name") == "TimeStamp":
            marks[event["args"]["data"]["message"]] = event["ts"]
        elif event.get("name") == "AnimationFrame::Presentation":
            frames.append(event["ts"])
    begun, ended = marks["scrolling begins"], marks["scrolling ends"]
    return sum(begun <= at <= ended for at in frames) / (ended - begun) * 1e6


# ---------------------------------------------------------------- the parts


def started(folder: Path) -> dict[str, Any]:
    """From the command to the page, and to the first picture of someone who opened it at once."""
    found = []
    for turn in range(REPEATS):
        with browser() as driver:
            driver.get("about:blank")  # the browser's own start is not the studio's
            found.append(begun(driver))
        progress(f"start {turn + 1} of {REPEATS}: {found[-1]}")
    return {name: statistics.median(each[name] for each in found) for name in found[0]}


def begun(driver: Any) -> dict[str, float]:
    """One start."""
    with studio(ready=False) as running:
        printed = time.perf_counter() - running.begun
        driver.get(running.address)
        driver.execute_async_script(
            "const done = arguments[0]; const look = () => document.querySelector('.shelf') ? done() "
            ": setTimeout(look, 10); look();"
        )
        page = time.perf_counter() - running.begun
        first = opened(driver, running.address, model="worked-example", text="I love data science", view="walk")
        picture = time.perf_counter() - running.begun
        return {"address_s": printed, "page_s": page, "picture_s": picture, "waited_ms": first}


def pictured(folder: Path) -> dict[str, Any]:
    """The first picture of every model that ships: not opened before, and afterwards."""
    first = {}
    with studio() as running, browser() as driver:
        driver.get(running.address)
        for name, asked in SHIPPED.items():
            state = {"model": name, **asked, "view": "walk"}
            cold = opened(driver, running.address, **state)
            whole = float(driver.execute_async_script(WHOLE))
            again = statistics.median(opened(driver, running.address, **state) for _ in range(REPEATS))
            first[name] = {"cold_ms": cold, "whole_ms": whole, "again_ms": again}
            progress(f"{name}: {cold:.0f} ms, whole run {whole:.0f} ms, again {again:.0f} ms")
    return first


def pressed(folder: Path) -> dict[str, Any]:
    """Steps of the large model, one after the other, and what the page holds afterwards."""
    make(folder / "large", layers=12, d_model=768, heads=12, positions=1024, vocabulary=50257)
    large = {"model": str(folder / "large"), "text": "x" * 64, "view": "map"}
    with studio() as running, browser() as driver:
        progress(f"the large model's first picture: {opened(driver, running.address, **large):.0f} ms")
        progress(f"and its whole run: {float(driver.execute_async_script(WHOLE)):.0f} ms")
        names = driver.execute_script("return [...document.querySelectorAll('.map li a')].map((each) => each.title)")
        before, clicks = memory(), {}
        for turn in range(CLICKS):
            name = names[(7 * turn) % len(names)]
            clicks[turn, name] = clicked(driver, name, **large, step=name)
            if turn % 50 == 49:
                progress(f"{turn + 1} clicks, median {statistics.median(clicks.values()):.0f} ms")
        held = memory()
    times = sorted(clicks.values())
    slowest = max(clicks, key=lambda key: clicks[key])
    return {
        "steps": len(names),
        "median_ms": statistics.median(times),
        "95_percent_ms": times[int(0.95 * len(times))],
        "largest_ms": times[-1],
        "slowest": slowest[1],
        "memory_before_mib": before,
        "memory_after_mib": held,
    }


def scrolled(folder: Path) -> dict[str, Any]:
    """The attention of one head over 1,024 tokens, scrolled along both axes."""
    make(folder / "wide", layers=1, d_model=64, heads=2, positions=1024, vocabulary=257)
    step = "decoder.layers.0.self_attention.weights"
    wide = {"model": str(folder / "wide"), "text": "x" * 1024, "view": "map", "new": "1", "step": step}
    with studio() as running, browser(traced=True) as driver:
        opened(driver, running.address, **wide)
        driver.execute_async_script(WHOLE)
        size = "const box = document.querySelector('.heat'); return [box.scrollWidth, box.scrollHeight]"
        shown = driver.execute_script(size)
        rate = float(driver.execute_async_script(SCROLL))
        drawn = presented(driver)
        progress(f"scrolled {shown[0]} x {shown[1]} pixels at {rate:.0f} frames/s")
    return {"frames_per_second": rate, "drawn_per_second": drawn, "pixels": shown}


def addresses() -> Iterator[tuple[str, dict[str, str]]]:
    """Every view by its address: those of every model, and what they show only when something was chosen."""
    yield "welcome", {}
    yield "train", {"train": "0"}
    yield "watch it learn", {"train": "worked-example"}
    for name, asked in SHIPPED.items():
        for view in VIEWS:
            yield f"{name} {view}", {"model": name, **asked, "view": view}
    for title, name, more in CHOSEN:
        yield title, {"model": name, **SHIPPED[name], **more}


def checked(folder: Path, axe: str) -> dict[str, list[str]]:
    """Every view's violations, light and dark, as wide as a laptop and as a phone."""
    found: dict[str, list[str]] = {}
    with studio() as running, browser() as driver:
        still = [{"name": "prefers-reduced-motion", "value": "reduce"}]  # a colour on its way is no colour to judge
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": still})
        for title, state in addresses():
            driver.get("about:blank")
            driver.get(f"{running.address}#{urlencode(state)}")
            driver.execute_async_script(WHOLE)
            driver.execute_script(axe)
            for screen, (width, height) in SCREENS.items():
                size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
                driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                for light in ("light", "dark"):
                    wrong = driver.execute_async_script(AXE)
                    if wrong:
                        found[f"{title}, {screen}, {light}"] = wrong
                        progress(f"{title}, {screen}, {light}: {'; '.join(wrong)}")
                    driver.execute_script("document.getElementById('light').click()")
                    driver.execute_async_script(WHOLE)
            progress(f"axe-core has looked at {title}")
    return found


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "start": started,
    "first-picture": pictured,
    "click": pressed,
    "scroll": scrolled,
}


def lines(part: str, found: dict[str, Any]) -> Iterator[str]:
    """A part's figures as a person reads them, each beside its aim."""
    match part:
        case "start":
            yield f"the page, after the command        {found['page_s']:7.2f} s"
            yield f"a picture, opened at once          {found['picture_s']:7.2f} s after the command"
        case "first-picture":
            for name, each in found.items():
                times = f"{each['cold_ms']:7.0f} ms (whole run {each['whole_ms']:.0f}), again {each['again_ms']:.0f}"
                yield f"first picture of {name:<18}{times}  aim 1,500"
        case "click":
            times = f"{found['median_ms']:7.0f} ms median, {found['95_percent_ms']:.0f} for 95 %"
            yield f"a click, 124 M on 64 tokens        {times}, {found['largest_ms']:.0f} at most  aim 200"
            yield f"memory after {CLICKS} clicks            {found['memory_after_mib']:7.0f} MiB  aim 300"
        case "scroll":
            asked, drawn = found["frames_per_second"], found["drawn_per_second"]
            yield f"scrolling 1,024 x 1,024            {asked:7.0f} frames/s asked, {drawn:.0f} on the screen  aim 50"
        case "accessibility":
            yield f"screens with violations            {len(found):7}  aim 0"
            yield from (f"  {screen}: {'; '.join(wrong)}" for screen, wrong in found.items())


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[*PARTS, "accessibility"])
    parser.add_argument("--axe", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    parts = dict(PARTS)
    if arguments.axe is not None:
        axe = arguments.axe.read_text("utf-8")
        parts["accessibility"] = lambda folder: checked(folder, axe)
    found: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "load_before": os.getloadavg()}
    failed = False
    for part in arguments.only or parts:
        progress(part)
        with tempfile.TemporaryDirectory() as place:
            try:
                found[part] = parts[part](Path(place))
            except (SystemExit, WebDriverException, OSError) as error:
                failed = True
                print(f"{part} was not measured: {error}")
                continue
        for line in lines(part, found[part]):
            print(line, flush=True)
    found["load_after"] = os.getloadavg()
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found))
    sys.exit(failed)


if __name__ == "__main__":
    main()
