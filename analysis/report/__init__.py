"""One offline HTML file a question: charts, the tables beside them, and where they come from."""

from analysis.chart.files import OutputError
from analysis.report.comparison import Comparison, ComparisonError, Selection, comparison_of
from analysis.report.questions import QUESTIONS
from analysis.report.write import render, write_outputs, write_report

__all__ = [
    "QUESTIONS",
    "Comparison",
    "ComparisonError",
    "OutputError",
    "Selection",
    "comparison_of",
    "render",
    "write_outputs",
    "write_report",
]
