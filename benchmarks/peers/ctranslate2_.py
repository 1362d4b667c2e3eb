"""CTranslate2: a translator or a generator that our exporter wrote."""

import ctranslate2
from turn import asked, serve

told = asked()
threads = {"inter_threads": 1, "intra_threads": told["threads"], "compute_type": told["precision"]}

if told["work"] == "texts":
    translator = ctranslate2.Translator(told["model"], **threads)
    rows, size = told["tokens"], told["batch"]

    def run() -> int:
        """All texts translated, so many at a time."""
        made = 0
        for start in range(0, len(rows), size):
            found = translator.translate_batch(
                rows[start : start + size], beam_size=told["beams"], max_decoding_length=80
            )
            made += sum(len(each.hypotheses[0]) + 1 for each in found)
        return made

elif told["work"] == "translate":
    translator = ctranslate2.Translator(told["model"], **threads)
    rows = told["tokens"]
    limits = {"max_decoding_length": told["new"], "min_decoding_length": told["new"]}

    def run() -> int:
        """One batch, every answer equally long."""
        found = translator.translate_batch(rows, beam_size=told["beams"], **limits)
        return sum(len(each.hypotheses[0]) for each in found)

else:
    generator = ctranslate2.Generator(told["model"], **threads)
    rows = told["tokens"]

    def run() -> int:
        """One batch gone on with."""
        found = generator.generate_batch(
            rows,
            max_length=told["new"],
            min_length=told["new"],
            include_prompt_in_result=False,
            sampling_topk=1,
        )
        return sum(len(each.sequences[0]) for each in found)


serve(run)
