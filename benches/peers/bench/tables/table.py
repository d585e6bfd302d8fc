"""A table: the samples of each client in each column, and their ratios."""

import statistics
from dataclasses import dataclass, field


@dataclass
class Cell:
    """The samples of one client in one column."""

    samples: list = field(default_factory=list)

    @property
    def median(self):
        return statistics.median(self.samples) if self.samples else None


@dataclass
class Table:
    name: str
    title: str
    unit: str
    columns: list
    # The label of each row, and the row that is its limit.
    rows: dict
    cells: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    # Columns that the chart shows.
    charted: list = None
    # Whether more is better: then no ratio is a cost.
    shares: bool = False
    digits: int = 2

    def add(self, row, column, value):
        if value is not None:
            self.cells.setdefault((row, column), Cell()).samples.append(value)

    def median(self, row, column):
        cell = self.cells.get((row, column))
        return cell.median if cell else None

    def ratio(self, row, column, to=None, to_column=None):
        """The ratio of the medians, to the row's limit or to another cell."""
        here = self.median(row, column)
        there = self.median(to or self.rows.get(row) or row, to_column or column)
        return here / there if here is not None and there else None

    def by_rounds(self, row, column, to=None, to_column=None):
        """The median of the rounds' own ratios. The runs of a round are neighbours in time, so a machine whose pace changes has the same one in both, where medians may be of one and of the other."""
        here, there = (self.cells.get(cell) for cell in ((row, column), (to or self.rows.get(row) or row, to_column or column)))
        if not here or not there or len(here.samples) != len(there.samples):
            return None
        return statistics.median(mine / its for mine, its in zip(here.samples, there.samples))


def alternate(rounds, plays):
    """Every play once a round; each round begins with another, so that none always follows the same."""
    for number in range(rounds if plays else 0):
        shift = number * max(1, len(plays) // rounds)
        for play in plays[shift % len(plays) :] + plays[: shift % len(plays)]:
            play()
