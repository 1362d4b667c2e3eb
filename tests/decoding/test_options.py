import pytest

from glassformer.decoding.options import Decoding
from glassformer.errors import InputError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"beams": 0}, "beams is 0; expected a whole number of 1 or more"),
        ({"beams": True}, "beams is True"),
        ({"max_length": 0}, "max_length is 0"),
        ({"max_length": 2.5}, "max_length is 2.5"),
        ({"beyond_source": -1}, "beyond_source is -1; expected a whole number of 0 or more"),
        ({"length_penalty": float("nan")}, "length_penalty is nan"),
        ({"length_penalty": "long"}, "length_penalty is 'long'"),
        ({"early_stopping": "sometimes"}, "expected True, False or 'never'"),
        ({"early_stopping": 1}, "early_stopping is 1"),
        ({"keep": 3, "beams": 2}, "keep is 3, but 2 beams end in 2 hypotheses; raise beams"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Decoding(**given)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="num_beam"):
        Decoding(num_beam=3)  # type: ignore[call-arg]
