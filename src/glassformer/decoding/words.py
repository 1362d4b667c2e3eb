"""Options that are texts, as the tokens they stand for."""

from dataclasses import replace

from glassformer.decoding.options import Decoding
from glassformer.errors import InputError
from glassformer.text.tokenizer import Tokenizer


def in_tokens(options: Decoding, tokenizer: Tokenizer | None) -> Decoding:
    """The same options with `bad_words` and `forced_prefix` written as token numbers.

    A word is banned as the tokens that spell it, at the beginning of a text and behind a space.
    """
    if not (options.bad_words or options.forced_prefix or options.stop_strings):
        return options
    if tokenizer is None:
        raise InputError(
            "bad_words, forced_prefix and stop_strings are texts; give the tokenizer as well, or token numbers"
        )
    banned, prefix = list(options.bad_words_ids), options.forced_prefix_ids
    for word in options.bad_words:
        spelt = tokenizer.ids([word, f" {word}"], special=False)
        banned += [tuple(ids) for ids in spelt if ids and tokenizer.unk_id not in ids]
    if options.forced_prefix:
        prefix = (*prefix, *tokenizer.ids([options.forced_prefix], special=False)[0])
    return replace(
        options,
        bad_words=(),
        forced_prefix="",
        bad_words_ids=tuple(dict.fromkeys(banned)),
        forced_prefix_ids=prefix,
    )
