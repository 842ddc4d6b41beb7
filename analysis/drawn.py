"""What a view gives: a chart, the same in words, and the table it was drawn from."""

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure


class NoDataError(Exception):
    """There is nothing here from which the chart could be drawn. Says what is missing."""


@dataclass(frozen=True)
class Drawn:
    """A chart. ``name`` is its kind, ``alt`` says what is to be seen, from the data.

    ``table`` holds the numbers that are drawn, a row each, under headings for people;
    ``caption`` says what a row of it is.
    """

    name: str
    title: str
    figure: Figure
    alt: str
    table: pd.DataFrame
    caption: str
