"""A report as one web page that stands alone: no network, no script needed, every number from the report itself."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from glassformer.errors import InputError
from glassformer.evaluation.report import Case, Confusion, Group, Grouping, Mark, Part, Report
from glassformer.evaluation.score import FIGURES, Figure, Score
from glassformer.files import write_text
from glassformer.show.report_charts import bar, calibration, strip

JSON, PAGE = "report.json", "report.html"
WIDEST = 24  # labels whose confusions are a table; of more the most frequent are listed
LISTED = 20
LONG = 600  # characters of a text that are shown at once
COSTS = ("perplexity", "probability")  # figures of one example that are not percent

TITLES = {
    "classification": "How well it labels texts",
    "tagging": "How well it finds entities",
    "answering": "How well it answers questions",
    "summarization": "How well it summarizes",
    "translation": "How well it translates",
    "language": "How well it foretells text",
}
NOTES = {  # what a person who sees a figure for the first time wants to know
    "accuracy": "how many are right",
    "macro_f1": "the mean of the labels' F1: small labels count as much as large ones",
    "micro_f1": "F1 over all decisions together",
    "matthews": "100 is perfect, 0 as good as a guess that knows only how frequent the labels are",
    "nll": "the lower the better; 0 is certainty",
    "brier": "the squared distance of the probabilities from the truth; lower is better",
    "calibration_error": "by how much confidence misses truth, on average; resamples overstate it",
    "f1": "precision and recall in one figure",
    "precision": "how many of those found are right",
    "recall": "how many of those wanted were found",
    "token_accuracy": "how many words have the right tag, those outside of entities included",
    "subset_accuracy": "how many texts have exactly the right labels",
    "answerable_exact_match": "of the questions that have an answer",
    "answerable_f1": "of the questions that have an answer",
    "unanswerable_accuracy": "of the questions that have none",
    "best_exact_match": "if no answer were said from the likelihood on that suits these questions best",
    "best_f1": "the same by F1",
    "bleu_one_reference": "each line's reference by itself",
    "chrf_one_reference": "the same of sequences of characters",
    "rougeLsum": "the same, line by line of the summary",
    "exact_match": "how many answers are right to the letter, but for case, marks and articles",
    "bleu": "word sequences that the translations share with the references",
    "chrf": "the same of sequences of characters",
    "rouge1": "words shared with the reference",
    "rouge2": "pairs of words shared with the reference",
    "rougeL": "the longest sequence shared with the reference",
    "perplexity": "between how many equally likely tokens the model wavers",
    "bits_per_byte": "what a byte of text would take if the model compressed it",
}


def write_report(report: Report, folder: str | Path) -> list[Path]:
    """Write report.json and report.html into a folder, each whole or not at all."""
    place = Path(folder)
    texts = {JSON: as_json(report), PAGE: page(report)}
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be made a folder: {(error.strerror or str(error)).lower()}; give one that can be written"
        ) from error
    for name, text in texts.items():
        write_text(place / name, [text])
    return [place / name for name in texts]


def as_json(report: Report) -> str:
    """The report for programs."""
    return json.dumps(report.to_dict(), ensure_ascii=False, indent=1) + "\n"


def page(report: Report) -> str:
    """The page as text."""
    assets = files("glassformer") / "show" / "assets"
    parts = ("report.html", "palette.css", "report.css")
    html, palette, style = ((assets / name).read_text("utf-8") for name in parts)
    title = f"{report.model or 'A model'} · {report.task} · glassformer"
    filled = {
        "title": escape(title),
        "style": palette + style,
        "head": head(report),
        "main": "\n".join(sections(report)),
    }
    before, *pieces = html.split("<!--")
    return before + "".join(
        filled[name] + after for name, after in (piece.split("-->", 1) for piece in pieces)
    )


def head(report: Report) -> str:
    """What was evaluated on what."""
    counts = ", ".join(f"{count:,} {name}" for name, count in report.counts.items())
    where = ", ".join(escape(Path(name).name) for name in report.data)
    on = f" on <b>{where}</b>" if where else ""
    notes = "".join(f'<p class="warning">{escape(note)}</p>' for note in report.notes)
    return (
        f"<h1>{TITLES.get(report.task, 'How well it does')}</h1>"
        f'<p class="about"><b>{escape(report.model or "a model")}</b>{on}: {escape(counts)}</p>{notes}'
    )


def sections(report: Report) -> Iterator[str]:
    """The page from top to bottom; what the report does not have is left out."""
    yield section("Figures", scores(report.scores))
    if report.confusion is not None and len(report.confusion.labels) > 1:
        small = len(report.confusion.labels) <= WIDEST
        yield section(
            "What is taken for what", confused(report.confusion) if small else listed(report.confusion)
        )
    if report.calibration:
        yield section("Is it as often right as it is sure?", calibrated(report))
    for grouping in report.groupings:
        if grouping.groups:
            yield section(f"By {grouping.title}", table(grouping))
    if report.worst:
        yield section("Worst examples", worst(report.worst))
    yield section("How it was computed", how(report))


def section(title: str, body: str) -> str:
    """A part of the page."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def scores(found: Mapping[str, Score]) -> str:
    """Every figure with its interval."""
    rows = "".join(score_row(key, score) for key, score in found.items())
    known = any(score.range for score in found.values())
    over = "<th>95 % of resamples</th>" if known else ""
    return (
        '<div class="scroll"><table class="scores"><thead><tr><th>figure</th><th class="number">value</th>'
        f'{over}<th class="wide"></th><th></th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def score_row(key: str, score: Score) -> str:
    """One figure; a share stands on a line from 0 to 100 as well."""
    said = f"{score.name} {score.written(score.value)}"
    drawn = strip(score.value, score.low, score.high, said) if in_percent(key) else ""
    over = f'<td class="range">{escape(score.range)}</td>' if score.range else ""
    return (
        f'<tr><th scope="row">{escape(score.name)}</th><td class="value">{score.written(score.value)}</td>'
        f'{over}<td class="wide">{drawn}</td><td class="note">{escape(NOTES.get(key, ""))}</td></tr>'
    )


def in_percent(key: str) -> bool:
    """Whether a figure goes from 0 to 100 and is better the higher it is."""
    return key in FIGURES and not FIGURES[key].lower_is_better


def confused(found: Confusion) -> str:
    """Rows are what was wanted, columns what was given; a cell is the fuller the more of its row is in it."""
    names = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in found.labels)
    rows = []
    for name, counts in zip(found.labels, found.counts, strict=True):
        total = sum(counts)
        cells = "".join(
            cell(count, total, name, other) for other, count in zip(found.labels, counts, strict=True)
        )
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}<td class="total">{total:,}</td></tr>')
    sums = "".join(f'<td class="total">{sum(column):,}</td>' for column in zip(*found.counts, strict=True))
    return (
        '<p class="lead">Each row holds the examples of one label, by the label that they were given.</p>'
        f'<div class="scroll"><table class="confusion"><thead><tr><th class="corner">wanted ↓ given →</th>{names}'
        f'<th class="total">all</th></tr></thead><tbody>{"".join(rows)}'
        f'<tr><th scope="row" class="total">all</th>{sums}<td></td></tr></tbody></table></div>'
    )


def cell(count: int, total: int, wanted: str, given: str) -> str:
    """One cell of the table."""
    share = count / total if total else 0.0
    kind = "hit" if wanted == given else "miss"
    said = escape(f"{wanted} given as {given}: {count:,} of {total:,} ({share:.1%})")
    percent = f"<small>{share:.0%}</small>" if count else ""
    return f'<td class="{kind}" style="--of: {share:.3f}" title="{said}">{count:,}{percent}</td>'


def listed(found: Confusion) -> str:
    """Of many labels the most frequent confusions."""
    pairs = [
        (count, wanted, given, sum(counts))
        for wanted, counts in zip(found.labels, found.counts, strict=True)
        for given, count in zip(found.labels, counts, strict=True)
        if count and wanted != given
    ]
    rows = "".join(
        f'<tr><td>{escape(wanted)}</td><td>{escape(given)}</td><td class="number">{count:,}</td>'
        f'<td class="number">{count / total:.1%}</td></tr>'
        for count, wanted, given, total in sorted(pairs, key=lambda pair: -pair[0])[:LISTED]
    )
    if not rows:
        return '<p class="lead">Nothing is: every label is right.</p>'
    return (
        f'<p class="lead">The most frequent confusions of {len(found.labels)} labels; the whole table is in {JSON}.</p>'
        '<div class="scroll"><table class="groups"><thead><tr><th>wanted</th><th>given</th>'
        '<th class="number">how often</th><th class="number">of the wanted</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def calibrated(report: Report) -> str:
    """The diagram, and how to read it."""
    sure = max(report.calibration, key=lambda each: each.decisions)
    error = report.scores.get("calibration_error")
    apart = "" if error is None else f" On average the two are {error.written(error.value)} points apart."
    return (
        f'<div class="beside">{calibration(report.calibration)}<p class="lead">A bar is as high as its decisions were '
        "right; on the dashed line they would be right exactly as often as the model is sure, above it more often. "
        f"The fullest bar holds {sure.decisions:,} decisions, {sure.confidence:.1%} sure on average, of which "
        f"{sure.right:.1%} are right.{apart}</p></div>"
    )


def table(grouping: Grouping) -> str:
    """A row for each group: its figures, and the first of them as a bar."""
    keys = list(grouping.groups[0].figures)
    shown = chosen(keys)
    heads = "".join(f'<th class="number">{escape(figure(key).name)}</th>' for key in keys)
    ranged = any(shown in group.intervals for group in grouping.groups)
    over = f"<th>{escape(figure(shown).name)}, 95 % of resamples</th>" if ranged else ""
    rows = "".join(group_row(group, keys, shown, ranged) for group in grouping.groups)
    drawn = f'<th class="wide">{escape(figure(shown).name)}</th>' if in_percent(shown) else ""
    return (
        f'<div class="scroll"><table class="groups"><thead><tr><th>{escape(grouping.title)}</th>'
        f'<th class="number">how many</th>{heads}{over}{drawn}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def chosen(keys: Sequence[str]) -> str:
    """The figure that is drawn."""
    return "f1" if "f1" in keys else keys[0]


def group_row(group: Group, keys: Sequence[str], shown: str, ranged: bool) -> str:
    """One group."""
    values = "".join(f'<td class="number">{written(key, group.figures[key])}</td>' for key in keys)
    low, high = group.intervals.get(shown, (None, None))
    over = ""
    if ranged:
        told = "" if low is None or high is None else f"{written(shown, low)} to {written(shown, high)}"
        over = f'<td class="range">{told}</td>'
    said = f"{figure(shown).name} {written(shown, group.figures[shown])}"
    drawn = f'<td class="wide">{bar(group.figures[shown], low, high, said)}</td>' if in_percent(shown) else ""
    return (
        f'<tr><th scope="row">{escape(group.name)}</th><td class="number">{group.examples:,}</td>'
        f"{values}{over}{drawn}</tr>"
    )


def figure(key: str) -> Figure:
    """What is known of a figure."""
    return FIGURES.get(key, Figure(name=key))


def written(key: str, value: float) -> str:
    """A number of a figure's kind."""
    return f"{value:,.{figure(key).digits}f}"


def worst(cases: Sequence[Case]) -> str:
    """The examples, and what their marks mean."""
    kinds = {mark.kind for case in cases for part in case.parts for mark in part.marks}
    said = {"right": "found", "missed": "wanted but not given", "wrong": "given but not wanted"}
    key = " ".join(f'<mark class="{kind}">{said[kind]}</mark>' for kind in said if kind in kinds)
    lead = f"The {len(cases)} that it does worst on, the worst first. {key}"
    return f'<p class="lead">{lead}</p>' + "".join(map(card, cases))


def card(case: Case) -> str:
    """One example."""
    figures = ", ".join(
        f"{figure(key).name} {case_figure(key, value)}" for key, value in case.figures.items()
    )
    parts = "".join(map(part, case.parts))
    return (
        f'<article><header><span class="number">example {case.number:,}</span> {escape(figures)}</header>'
        f"<dl>{parts}</dl></article>"
    )


def case_figure(key: str, value: float) -> str:
    """A number beside an example; what counts things is whole."""
    if key == "probability":
        return f"{value:.1%}"
    return f"{value:,.0f}" if key == "errors" else written(key, value)


def part(found: Part) -> str:
    """One text of an example; a long one is folded."""
    text = marked(found.text, found.marks)
    if len(found.text) > LONG:
        begin = escape(found.text[: LONG // 4].rsplit(" ", 1)[0])
        text = f"<details><summary>{begin} …</summary>{text}</details>"
    kind = {"wanted": "wanted", "given": "given"}.get(found.name, "")
    return f'<dt class="{kind}">{escape(found.name)}</dt><dd dir="auto">{text}</dd>'


def marked(text: str, marks: Sequence[Mark]) -> str:
    """The text with its marks."""
    pieces, done = [], 0
    for mark in marks:
        pieces.append(escape(text[done : mark.start]))
        within = escape(text[mark.start : mark.end])
        pieces.append(f'<mark class="{mark.kind}">{within}<sub>{escape(mark.name)}</sub></mark>')
        done = mark.end
    return "".join(pieces) + escape(text[done:])


def how(report: Report) -> str:
    """Signatures and settings: enough for others to repeat it."""
    signed: dict[str, list[str]] = {}
    for score in report.scores.values():
        signed.setdefault(score.signature, []).append(score.name)
    rows = [(", ".join(names), signature) for signature, names in signed.items()]
    rows += [("data", name) for name in report.data]
    rows += [(name, said(value)) for name, value in report.settings.items()]
    body = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f'<dl class="how">{body}</dl>'


def said(value: object) -> str:
    """A setting in words."""
    words: Mapping[object, str] = {True: "yes", False: "no", None: "not set"}
    plain: Callable[[object], str] = str
    if value is None or isinstance(value, bool):
        return words[value]
    return f"{value:,.4g}" if isinstance(value, float) else plain(value)
