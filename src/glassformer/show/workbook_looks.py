"""How a workbook looks: colours for kinds of cells, formats of numbers, what each sheet says of itself."""

from __future__ import annotations

from typing import Any

from glassformer.show.workbook_layout import INPUT, RESULT, STEP, VALUE, Placed

OPENINGS = {
    "Inputs": "What the run starts from. Change the numbers of the tokens (their words stand on the sheet Embeddings).",
    "Embeddings": "The tables that rows are looked up in. Change any number, and all sheets after this one follow.",
    "Weights": "What the model has learnt beside its tables. Change any number, and all sheets after this one follow.",
    "Encoder": "What is read, step by step.",
    "Decoder": "What is written, step by step.",
    "Head": "What comes of it.",
    "Search": "Which candidate is written.",
    "Loss": "How far that is from what is wanted.",
    "Backward": "How the loss would change with each number: from the loss back to the embeddings.",
    "Update": "One update of every parameter, with its moments.",
}
COLOURS = {INPUT: "#FFF6D6", STEP: "#FFFFFF", RESULT: "#DFF2E1", VALUE: "#ECECEC"}
MEANINGS = {
    INPUT: "may be changed: tokens, embeddings, weights",
    STEP: "a formula: follows what it is made from",
    RESULT: "a formula: what a part hands over",
    VALUE: "a value: what makes it is not in this workbook",
}
TABS = {"Inputs": "#E0A800", "Embeddings": "#E0A800", "Weights": "#E0A800", "Backward": "#8E5BB5", "Update": "#8E5BB5"}
DIGITS = "0.0000;-0.0000;0"
SMALL = '[<-1E+30]"−∞";0'


class Looks:
    """The formats of one workbook."""

    def __init__(self, workbook: Any) -> None:
        quiet = {"font_color": "#5F6670"}
        self._add = workbook.add_format
        self.sheet_title = self._add({"bold": True, "font_size": 15})
        self.title = self._add({"bold": True, "bottom": 1, "bottom_color": "#9AA3AD"})
        self.formula = self._add({"font_name": "Consolas", "font_color": "#1F4E79"})
        self.prose = self._add({"italic": True, **quiet})
        self.plain = self._add({"indent": 1})
        self.link = self._add({"font_color": "#1F4E79", "underline": 1})
        self.corner = self._add({"italic": True, **quiet})
        self.column = self._add({"bold": True, "align": "right", **quiet})
        self.row = self._add({"bold": True, "align": "left", "indent": 1, **quiet})
        self.heading = self._add({"bold": True, "bottom": 1})
        self.value = self._cell(VALUE, DIGITS)
        self._known: dict[tuple[str, str], Any] = {}

    def _cell(self, kind: str, digits: str) -> Any:
        border = {"border": 1, "border_color": "#D5D9DE"}
        strong = {"bold": True} if kind == RESULT else {}
        return self._add({"bg_color": COLOURS[kind], "num_format": digits, "align": "right", **border, **strong})

    def kind(self, kind: str) -> Any:
        """A cell of this kind, for the legend."""
        return self._numbers(kind, DIGITS)

    def numbers(self, block: Placed) -> Any:
        """A block's cells."""
        return self._numbers(block.kind, self.digits(block))

    def _numbers(self, kind: str, digits: str) -> Any:
        if (kind, digits) not in self._known:
            self._known[kind, digits] = self._cell(kind, digits)
        return self._known[kind, digits]

    @staticmethod
    def digits(block: Placed) -> str:
        """Whole numbers whole, masks as zero and minus infinity, squares of gradients with their powers of ten."""
        if block.step is not None and block.step.key == "mask":
            return SMALL
        labels = block.name.startswith("loss.") and block.name.endswith(".labels")
        if block.values.dtype.kind in "biu" or labels:
            return "0"
        if block.name.startswith("update.") and "moment" in block.name:
            return "0.00E+00;-0.00E+00;0"
        return DIGITS

    @staticmethod
    def tab(name: str) -> str:
        """The colour of a sheet's tab."""
        return TABS.get(name, "#3B7DB8")
