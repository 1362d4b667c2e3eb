"""The command line's frame: the commands by name, each imported only when it is run."""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

import click

from glassformer import __version__
from glassformer.cli.refusals import refusal

COMMANDS: dict[str, tuple[str, str]] = {
    "explain": ("glassformer.cli.explain:explain", "Walk through every number behind one answer."),
    "verify": (
        "glassformer.cli.verify:verify",
        "Recompute every number of an answer, and compare all paths.",
    ),
    "attribute": (
        "glassformer.cli.attribute:attribute",
        "Say which words, layers or heads an answer hangs on.",
    ),
    "compare": (
        "glassformer.cli.compare:compare",
        "Show which steps of two runs differ, and by how much.",
    ),
    "translate": (
        "glassformer.cli.translate:translate",
        "Translate texts given here, in a file, or line by line.",
    ),
    "classify": ("glassformer.cli.classify:classify", "Label texts given here, in a file, or line by line."),
    "tag": ("glassformer.cli.tag:tag", "Find names in texts given here, in a file, or line by line."),
    "answer": (
        "glassformer.cli.answer:answer",
        "Answer questions from a text given here or in a file.",
    ),
    "summarize": (
        "glassformer.cli.summarize:summarize",
        "Summarise texts given here, in a file, or line by line.",
    ),
    "generate": (
        "glassformer.cli.generate:generate",
        "Go on with texts given here, in a file, or line by line.",
    ),
    "data": ("glassformer.cli.data:data", "Look into files of examples."),
    "train": ("glassformer.cli.train:train", "Train a model by a recipe into a run folder."),
    "evaluate": ("glassformer.cli.evaluate:evaluate", "Score a model on a file of examples."),
    "quantize": ("glassformer.cli.quantize:quantize", "Say what rounding a model's weights costs."),
    "shortlist": (
        "glassformer.cli.shortlist:shortlist",
        "Learn which words a translator need weigh for a text.",
    ),
    "average": ("glassformer.cli.average:average", "Write a model whose weights are the mean of several."),
    "families": (
        "glassformer.cli.families:families",
        "List the families that are read, and how each was verified.",
    ),
    "convert": ("glassformer.cli.convert:convert", "Write a model in the format that another program runs."),
    "studio": ("glassformer.cli.studio:studio", "Open the transformer in a browser."),
    "models": ("glassformer.cli.models:models", "List the models that ship."),
}


class Commands(click.Group):
    """Commands from a table; the help page needs none of them imported, so it answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), function)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names; of one that there is not, what was most likely meant."""
        name = args[0]
        if name not in COMMANDS and (near := get_close_matches(name, COMMANDS, n=1)):
            ctx.fail(f"No such command {name!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help page's list, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(
    cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="glassformer", help="Show the version and leave.")
@click.pass_context
def glassformer(ctx: click.Context) -> None:
    """A transformer that can be trained, run and read, number by number.

    Try:  glassformer explain "I love data science" --model worked-example
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """One command from its words to its exit code: 0 done, 2 refused with one sentence, 130 interrupted."""
    try:
        code = glassformer.main(args=arguments, prog_name="glassformer", standalone_mode=False)
        sys.stdout.flush()
    except click.Abort:
        return 130
    except Exception as error:
        sentence = refusal(error)
        if sentence is None:
            raise
        click.echo(f"glassformer: {sentence}", err=True)
        return 2
    return code if isinstance(code, int) else 0


def main() -> None:
    """The entry point of the installed command."""
    sys.exit(run())
