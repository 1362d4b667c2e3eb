"""`glassformer generate`: beginnings of texts in, the texts gone on with out, in the same order."""

import sys
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

import click

from glassformer.cli.decoding import as_object, decoding_of, decoding_options, how_likely, texts_of
from glassformer.cli.inputs import as_line, at_keyboard
from glassformer.cli.options import one_thread_for_little
from glassformer.cli.verb import Asking, verb
from glassformer.errors import InputError

if TYPE_CHECKING:
    from glassformer.decoding.options import Decoding
    from glassformer.tasks.chat import Chat
    from glassformer.tasks.generation import GeneratedText, Generation
    from glassformer.tasks.model import Model


@click.command
@verb("generation", batch=64)
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
@click.option("--tokens", is_flag=True, help="With --json: the score too, and every token's probability.")
def generate(
    asking: Asking,
    chat: bool,
    system: str | None,
    stream: bool | None,
    assistant: str | None,
    tokens: bool,
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
    if asking.texts and asking.input_file is not None:
        raise InputError("texts and --input were both given; give one of them")
    if stream and asking.as_json:
        raise InputError("--stream shows text in pieces and --json whole texts; leave one of them out")
    rows = iter(()) if asking.texts else asking.rows()
    model = asking.model()
    if chat:
        model.task = conversing(model, system)
    task = cast("Chat | Generation", model.task)
    ways = decoding_of(task.decoding, decoding)
    helped: dict[str, Any] = {}
    if assistant is not None:
        helped["assistant"] = asking.model(assistant)
    if stream or (stream is None and shown_in_pieces(ways, asking)):
        at_keyboard(asking.texts, asking.input_file)
        written(model, asking.texts or (row["text"] for row in rows), ways, helped, whole=not chat)
        return
    if asking.texts:
        one_thread_for_little(model)
        made = model(list(asking.texts), decoding=ways, **helped)
        answers: Iterable[tuple[str, GeneratedText | None]] = zip(asking.texts, made, strict=True)
    else:
        found = asking.answers(model, rows, itemgetter("text"), {"decoding": ways, **helped})
        answers = ((row["text"], answer) for row, answer in found)
    for line in lines(answers, asking.as_json, tokens):
        click.echo(line)


def conversing(model: "Model", system: str | None) -> "Chat":
    """The task of answering messages."""
    from glassformer.tasks.chat import Chat

    return Chat.published(model.task, model.checkpoint.generation, system=system)


def shown_in_pieces(ways: "Decoding", asking: Asking) -> bool:
    """Whether somebody is looking on, and there is one text to look at."""
    one = ways.num_beams == 1 and ways.num_return_sequences == 1
    return one and not asking.as_json and asking.input_file is None and sys.stdout.isatty()


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
