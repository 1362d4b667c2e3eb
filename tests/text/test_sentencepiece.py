"""SentencePiece models trained here: our ids are those of the library and of transformers' own tokenizers."""

import io
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
import transformers

import glassformer as gf
from glassformer.cli.main import run
from glassformer.text.languages import Languages
from glassformer.text.tokenizer import Tokenizer

ENGLISH = [
    "the cat sat on the mat, and the dog sat on the cat", "where does the old dog sleep at night?",
    "a small house stands by the river", "she reads every evening until ten", "I do not know what he means by that!",
    "they walked home through the rain", "our train leaves at half past seven", "give me the other book, please",
]  # fmt: skip
FRENCH = [
    "le chat est assis sur le tapis", "où dort le vieux chien la nuit ?", "une petite maison près de la rivière",
    "elle lit chaque soir jusqu'à dix heures", "je ne sais pas ce qu'il veut dire", "ils sont rentrés sous la pluie",
    "notre train part à sept heures et demie", "donne-moi l'autre livre, s'il te plaît",
]  # fmt: skip
ODD = [
    "  two  spaces ",
    "x",
    "▁a b",
    "ﬁ ２３ Ⅷ",
    "tab\there",
    "emoji 😀☃☃ x",
    "日本語",
    "no\u00a0break",
    "É é",
    "...",
    "the ☃ cat",
]
LINES = [*ENGLISH, *FRENCH, *ODD]


def trained(path: Path, lines: list[str], **settings: Any) -> sentencepiece.SentencePieceProcessor:
    """A small model, written to this file."""
    buffer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 3), model_writer=buffer, hard_vocab_limit=False, minloglevel=2,
        **{"vocab_size": 90, "num_threads": 1, **settings},
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=buffer.getvalue())


def described(folder: Path, **settings: Any) -> Path:
    """tokenizer_config.json."""
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


T5_IDS = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}


def test_t5_keeps_the_numbers_and_closes_the_text(tmp_path: Path) -> None:
    theirs = trained(tmp_path / "spiece.model", ENGLISH, **T5_IDS)
    ours = Tokenizer.load(described(tmp_path, tokenizer_class="T5Tokenizer"))
    assert ours.ids(LINES) == [[*ids, 1] for ids in theirs.encode(LINES)]
    assert ours.vocab_size == len(theirs) + 100
    assert ours.id("<extra_id_99>") == len(theirs)
    assert [ours.decode(ours.encode(line).ids) for line in ENGLISH] == ENGLISH
    ours.save(tmp_path / "saved")
    assert Tokenizer.load(tmp_path / "saved").ids(LINES) == ours.ids(LINES)
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")(LINES)["input_ids"] == ours.ids(
        LINES
    )


def test_pegasus_moves_the_numbers(tmp_path: Path) -> None:
    theirs = trained(tmp_path / "spiece.model", ENGLISH, **T5_IDS)
    ours = Tokenizer.load(described(tmp_path, tokenizer_class="PegasusTokenizer"))
    assert ours.ids(LINES) == [[*(number + 103 for number in ids), 1] for ids in theirs.encode(LINES)]


@pytest.mark.parametrize(
    ("kind", "name", "frame"),
    [
        ("unigram", "MBartTokenizer", ([], [2, "fr_XX"])),
        ("unigram", "MBart50Tokenizer", (["fr_XX"], [2])),
        ("bpe", "NllbTokenizer", (["fr_XX"], [2])),
        ("unigram", "XLMRobertaTokenizer", ([0], [2])),
    ],
)
def test_fairseqs_numbers_and_languages(kind: str, name: str, frame: Any, tmp_path: Path) -> None:
    theirs = trained(tmp_path / "sentencepiece.bpe.model", LINES[:16], model_type=kind)
    languages = [] if name.startswith("XLM") else ["en_XX", "fr_XX"]
    ours = Tokenizer.load(
        described(tmp_path, tokenizer_class=name, src_lang="fr_XX", additional_special_tokens=languages)
    )
    before, after = ([ours.id(each) if isinstance(each, str) else each for each in part] for part in frame)
    moved = [[3 if number == 0 else number + 1 for number in ids] for ids in theirs.encode(LINES)]
    assert ours.ids(LINES) == [[*before, *ids, *after] for ids in moved]
    assert ours.id("<mask>") == len(theirs) + 1 + len(languages)
    assert [ours.decode(ids) for ids in ours.ids(ENGLISH)] == ENGLISH


@pytest.mark.parametrize(
    ("name", "codes", "place"),
    [
        ("MBartTokenizer", ("en_XX", "fr_XX"), "after"),
        ("MBart50Tokenizer", ("en_XX", "fr_XX"), "before"),
        ("NllbTokenizer", ("eng_Latn", "fra_Latn"), "before"),
    ],
)
def test_languages_are_kept(name: str, codes: tuple[str, str], place: str, tmp_path: Path) -> None:
    """Their tokens, their place, and the one that a text is in where nobody says so."""
    kind = "bpe" if name == "NllbTokenizer" else "unigram"
    trained(tmp_path / "sentencepiece.bpe.model", LINES[:16], model_type=kind)
    said = {"tokenizer_class": name, "src_lang": codes[1], "tgt_lang": codes[0]}
    ours = Tokenizer.load(described(tmp_path, **said, additional_special_tokens=codes))
    ours.save(tmp_path / "saved")
    again = Tokenizer.load(tmp_path / "saved")
    first, second = Languages.of(ours), Languages.of(again)
    assert first == second
    assert (set(first.ids), first.place) == (set(codes), place)
    framed = again.ids([ENGLISH[0]])[0]
    assert framed[0 if place == "before" else -1] == second.id(codes[1])
    stated = json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text("utf-8"))
    assert (stated["src_lang"], stated["tgt_lang"]) == (codes[1], codes[0])
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert theirs(LINES)["input_ids"] == ours.ids(LINES)
    assert theirs.convert_tokens_to_ids(list(codes)) == [first.id(code) for code in codes]


def test_a_model_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "spiece.model", ENGLISH)
    with pytest.raises(gf.InputError, match="XLNetTokenizer.*T5Tokenizer"):
        Tokenizer.load(described(tmp_path, tokenizer_class="XLNetTokenizer"))
    (tmp_path / "spiece.model").write_bytes((tmp_path / "spiece.model").read_bytes()[:-9])
    with pytest.raises(gf.InputError, match="not a whole SentencePiece model"):
        Tokenizer.load(described(tmp_path, tokenizer_class="T5Tokenizer"))


# ------------------------------------------------------------------ whole translators


SMALL = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 80,
}  # fmt: skip


def shaken(model: Any, **generation: Any) -> Any:
    """Random, no longer all but silent, and told how to write."""
    model.generation_config.update(max_length=12, **generation)
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.5 * torch.randn_like(parameter)
    return model.eval()


def numbered(path: Path, tokens: list[str]) -> Path:
    """vocab.json."""
    path.write_text(json.dumps({token: number for number, token in enumerate(dict.fromkeys(tokens))}))
    return path


def pieces(model: sentencepiece.SentencePieceProcessor) -> list[str]:
    return [model.id_to_piece(number) for number in range(3, len(model))]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """A small M2M100: folder, their model, their tokenizer."""
    folder = tmp_path_factory.mktemp("many")
    model = trained(folder / "spm.model", LINES[:16], model_type="bpe")
    vocabulary = numbered(folder / "v.json", ["<s>", "<pad>", "</s>", "<unk>", *reversed(pieces(model))])
    tokenizer = transformers.M2M100Tokenizer(str(vocabulary), str(folder / "spm.model"))
    tokenizer.save_pretrained(folder / "m2m")
    config = transformers.M2M100Config(vocab_size=tokenizer.vocab_size + 108, **SMALL)
    theirs = shaken(transformers.M2M100ForConditionalGeneration(config), num_beams=3)
    theirs.save_pretrained(folder / "m2m")
    return folder / "m2m", theirs, tokenizer


def test_m2m100_writes_the_language_that_is_asked_for(many: tuple[Path, Any, Any]) -> None:
    folder, theirs, tokenizer = many
    ours = gf.load(folder)
    assert ours.tokenizer.ids(LINES) == [tokenizer(line)["input_ids"] for line in LINES]
    for source, target in (("en", "fr"), ("fr", "de")):
        tokenizer.src_lang = source
        for line in ENGLISH[:3]:
            expected = theirs.generate(
                **tokenizer(line, return_tensors="pt"), forced_bos_token_id=tokenizer.get_lang_id(target)
            )
            found = ours(line, source_language=source, target_language=target)
            assert list(found.ids) == expected[0, 1:].tolist()
            assert "__" not in str(found)
    tokenizer.src_lang = "en"
    trace = ours.trace(ENGLISH[0], source_language="en", target_language="fr")
    assert trace.tokens["encoder"][0][0] == "__en__"
    assert trace.tokens["decoder"][0][:2] == ["</s>", "__fr__"]
    assert trace.verify().max_error < 1e-4


def saved_over_another(model: Any, folder: Path) -> Path:
    """A model written where another one's tokenizers stood."""
    gf.load("worked-example").save_pretrained(folder)
    Tokenizer.train("words", ENGLISH).save(folder / "source_tokenizer")
    model.save_pretrained(folder)
    return folder


def test_m2m100_is_saved_as_its_own_class_reads_it(many: tuple[Path, Any, Any], tmp_path: Path) -> None:
    folder, theirs, tokenizer = many
    saved = saved_over_another(gf.load(folder), tmp_path)
    again, line = gf.load(saved), ENGLISH[1]
    assert again.tokenizer.ids(LINES) == gf.load(folder).tokenizer.ids(LINES)
    reader = transformers.AutoTokenizer.from_pretrained(saved)
    assert type(reader) is transformers.M2M100Tokenizer
    reader.src_lang = tokenizer.src_lang = "fr"
    assert [reader(each)["input_ids"] for each in LINES] == [tokenizer(each)["input_ids"] for each in LINES]
    opened = transformers.M2M100ForConditionalGeneration.from_pretrained(saved).eval()
    given = reader(line, return_tensors="pt")
    written = opened.generate(**given, forced_bos_token_id=reader.get_lang_id("en"))
    found = again(line, source_language="fr", target_language="en")
    assert list(found.ids) == written[0, 1:].tolist()
    tokenizer.src_lang = "en"


def test_a_language_that_is_missing_or_unknown_is_refused_with_the_known_ones(
    many: tuple[Path, Any, Any],
) -> None:
    ours = gf.load(many[0])
    with pytest.raises(gf.InputError, match="target_language, one of .*de.*fr"):
        ours(ENGLISH[0])
    with pytest.raises(gf.InputError, match="no language 'tlh'; it has .*de.*fr"):
        ours(ENGLISH[0], target_language="tlh")
    with pytest.raises(gf.InputError, match="one pair of languages"):
        gf.load("worked-example")("I love data", target_language="fr")


def test_translate_from_and_to(many: tuple[Path, Any, Any], capsys: pytest.CaptureFixture[str]) -> None:
    folder, line = many[0], ENGLISH[1]
    code = run(["translate", line, "--model", str(folder), "--from", "en", "--to", "fr", "--device", "cpu"])
    said = capsys.readouterr().out
    assert code == 0
    assert said.strip("\n") == str(gf.load(folder)(line, source_language="en", target_language="fr"))


def test_marian_has_two_models_and_one_vocabulary(tmp_path: Path) -> None:
    source = trained(tmp_path / "source.spm", ENGLISH)
    target = trained(tmp_path / "target.spm", FRENCH)
    tokens = [">>fr<<", *pieces(target), *pieces(source)]
    vocabulary = numbered(tmp_path / "v.json", ["</s>", "<unk>", *sorted(set(tokens)), "<pad>"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sacremoses, which is recommended, normalizes punctuation
        tokenizer = transformers.MarianTokenizer(
            str(tmp_path / "source.spm"), str(tmp_path / "target.spm"), str(vocabulary)
        )
    tokenizer.save_pretrained(tmp_path / "marian")
    pad = tokenizer.pad_token_id
    config = transformers.MarianConfig(
        vocab_size=tokenizer.vocab_size, pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0,
        forced_eos_token_id=0, **SMALL,
    )  # fmt: skip
    theirs = shaken(transformers.MarianMTModel(config), num_beams=4, bad_words_ids=[[pad]])
    theirs.save_pretrained(tmp_path / "marian")
    ours = gf.load(tmp_path / "marian")
    assert ours.source_tokenizer is not None
    lines = [*ENGLISH, *FRENCH[:3], "the ☃ cat"]
    assert ours.source_tokenizer.ids(lines) == [tokenizer(line)["input_ids"] for line in lines]
    for line in ENGLISH[:4]:
        expected = theirs.generate(**tokenizer(line, return_tensors="pt"))
        assert list(ours(line).ids) == expected[0, 1:].tolist()
    announced = tokenizer(f">>fr<< {ENGLISH[0]}", return_tensors="pt")
    assert list(ours(ENGLISH[0], target_language="fr").ids) == theirs.generate(**announced)[0, 1:].tolist()
    saved = saved_over_another(ours, tmp_path / "saved")
    again = gf.load(saved)
    assert [one.ids for one in again(ENGLISH)] == [one.ids for one in ours(ENGLISH)]
    opened = transformers.MarianMTModel.from_pretrained(saved).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in (transformers.MarianTokenizer, transformers.AutoTokenizer):
            reader = kind.from_pretrained(saved)
            assert type(reader) is transformers.MarianTokenizer
            assert reader(lines)["input_ids"] == ours.source_tokenizer.ids(lines)
            assert reader(text_target=FRENCH)["input_ids"] == ours.tokenizer.ids(FRENCH)
            written = opened.generate(**reader(ENGLISH[0], return_tensors="pt"))
            assert list(ours(ENGLISH[0]).ids) == written[0, 1:].tolist()
