"""Two systems compared by the results of their runs (``--report``).

    from v4l_dmabuf.compare import compare, load

    comparison = compare(load(["a1.json", "a2.json"]), load(["b1.json", "b2.json"]))
    print(comparison.verdict, comparison.differences)

Needs the package's extra ``compare`` (numpy and matplotlib).
"""

from v4l_dmabuf.compare.comparability import Difference
from v4l_dmabuf.compare.comparison import Comparison, Missing, Row, Verdict, compare
from v4l_dmabuf.compare.runs import Run, load
from v4l_dmabuf.reading import ResultError

__all__ = [
    "Comparison",
    "Difference",
    "Missing",
    "ResultError",
    "Row",
    "Run",
    "Verdict",
    "compare",
    "load",
]
