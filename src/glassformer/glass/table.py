"""All formulas: of a run, of a search, of the way back, of an update."""

from collections.abc import Mapping

from glassformer.glass.backward import GRADIENTS
from glassformer.glass.formula import Formula
from glassformer.glass.formulas import FORMULAS
from glassformer.glass.search_formulas import SEARCHES
from glassformer.glass.update_formulas import UPDATES

ALL: Mapping[str, Formula] = {**FORMULAS, **SEARCHES, **GRADIENTS, **UPDATES}
