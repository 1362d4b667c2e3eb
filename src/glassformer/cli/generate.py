"""`glassformer generate`: beginnings of texts in, the texts gone on with out, in the same order."""

import sys
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

import click

from glassformer.cli.decoding import as_object, decoding_of, decoding_options, how_likely, texts_of
from glassformer.cli.inputs import (
    answers_of,
    as_line,
    at_keyboard,
    field_option,
    format_option,
    input_option,
    json_option,
    read_inputs,
)
from glassformer.cli.options import (
    DEFAULTS,
    asked,
    device_option,
    model_option,
    one_thread_for_little,
    precision_option,
)
from glassformer.errors import InputError

if TYPE_CHECKING:
    from glassformer.decoding.options import Decoding
    from glassformer.tasks.chat import Chat
    from glassformer.tasks.generation import GeneratedText, Generation
    from glassformer.tasks.model import Model


@click.command
@click.argument("text", nargs=-1)
@model_option(DEFAULTS["generation"])
@input_option
@format_option
@field_option
@click.option("--chat", is_flag=True, help="Each text is a message to the model, and its answer is printed.")
@click.option("--system", metavar="TEXT", help="With --chat: what the model is told before every message.")
@decoding_options("beyond_source")
@click.option(
    "--stream/--no-stream",
    "stream",
    default=None,
    help="Show text while it is written. [default: on a terminal, where one output is asked for and no beams are]",
)
@click.option(
    "--assistant",
    metavar="MODEL",
    help="A smaller model with the same tokenizer: it guesses what follows, and the model reads its guesses at once.",
)
@json_option
@click.option("--tokens", is_flag=True, help="With --json: the score too, and every token's probability.")
@click.option(
    "--batch",
    default=64,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many texts are read and gone on with together.",
)
@device_option
@precision_option
def generate(
    text: tuple[str, ...],
    name: str,
    input_file: str | None,
    form: str | None,
    named: tuple[str, ...],
    chat: bool,
    system: str | None,
    stream: bool | None,
    assistant: str | None,
    as_json: bool,
    tokens: bool,
    batch: int,
    device: str,
    precision: str | None,
    **decoding: Any,
) -> None:
    """Go on with texts given here, in a file, or line by line.

    Each TEXT is one beginning; an empty one leaves everything to the model. Without any and without --input, every
    line of standard input is one. Texts are printed whole, with an empty line between two of them. What no option says
    of how they are written is as in the model's generation_config.json. With --chat, texts are messages, each in a
    conversation of its own, put to the model as its chat template says.
    """
    if system is not None and not chat:
        raise InputError("--system is told in a conversation; give --chat too")
    if text and input_file is not None:
        raise InputError("texts and --input were both given; give one of them")
    if stream and as_json:
        raise InputError("--stream shows text in pieces and --json whole texts; leave one of them out")
    rows = read_inputs((), input_file, form=form, named=named) if not text else iter(())
    model = asked(name, "generation", device, precision)
    if chat:
        model.task = conversing(model, system)
    task = cast("Chat | Generation", model.task)
    ways = decoding_of(task.decoding, decoding)
    helped: dict[str, Any] = {}
    if assistant is not None:
        helped["assistant"] = asked(assistant, "generation", device, precision)
    if stream or (stream is None and shown_in_pieces(ways, as_json, input_file)):
        prompts = text or (row["text"] for row in rows)
        if not text:
            at_keyboard(text, input_file)
        written(model, prompts, ways, helped, whole=not chat)
        return
    if text:
        one_thread_for_little(model)
        answers: Iterable[tuple[str, GeneratedText | None]] = zip(
            text, model(list(text), decoding=ways, **helped), strict=True
        )
    else:
        found = answers_of(
            model,
            rows,
            itemgetter("text"),
            {"decoding": ways, **helped},
            texts=text,
            input_file=input_file,
            batch=batch,
        )
        answers = ((row["text"], answer) for row, answer in found)
    for line in lines(answers, as_json, tokens):
        click.echo(line)


def conversing(model: "Model", system: str | None) -> "Chat":
    """The task of answering messages."""
    from glassformer.tasks.chat import Chat

    return Chat.published(model.task, model.checkpoint.generation, system=system)


def shown_in_pieces(ways: "Decoding", as_json: bool, input_file: str | None) -> bool:
    """Whether somebody is looking on, and there is one text to look at."""
    one = ways.num_beams == 1 and ways.num_return_sequences == 1
    return one and not as_json and input_file is None and sys.stdout.isatty()


def written(
    model: "Model", prompts: Iterable[str], ways: "Decoding", helped: "dict[str, Any]", *, whole: bool
) -> None:
    """Each text while it is written; what it goes on from stands before it where it is shown whole."""
    one_thread_for_little(model)
    for number, prompt in enumerate(prompts):
        pieces = cast("Chat | Generation", model.task).pieces(model.transformer, prompt, ways, **helped)
        before = prompt if whole else ""
        click.echo(f"\n{before}" if number else before, nl=False)
        for piece in pieces:
            click.echo(piece, nl=False)
        click.echo()


def lines(
    answers: "Iterable[tuple[str, GeneratedText | None]]", as_json: bool, tokens: bool
) -> Iterator[str]:
    """What is printed: an object for each beginning, or whole texts with an empty line between two."""
    if as_json:
        for prompt, answer in answers:
            likely = how_likely(answer) if tokens and answer is not None else {}
            drafts = None if answer is None else answer.drafts
            guessed = {} if drafts is None else {"drafts": {**vars(drafts), "share": drafts.share}}
            yield as_line({**as_object("text", answer), "prompt": prompt, **likely, **guessed})
        return
    texts = (text for _, answer in answers if answer is not None for text in texts_of(answer))
    for number, text in enumerate(texts):
        yield f"\n{text}" if number else text
