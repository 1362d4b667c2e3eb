"""The spreadsheet form of every formula."""

from collections.abc import Mapping

from glassformer.glass.spreadsheet.back import BACK
from glassformer.glass.spreadsheet.cells import Written
from glassformer.glass.spreadsheet.loss import LOSS
from glassformer.glass.spreadsheet.run import RUN
from glassformer.glass.spreadsheet.search import SEARCH
from glassformer.glass.spreadsheet.update import UPDATE

CELLS: Mapping[str, Written] = {**RUN, **LOSS, **SEARCH, **BACK, **UPDATE}  # all but "given", which is written as it is
