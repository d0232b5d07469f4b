"""A comparison as JSON, for programs."""

from typing import Any

from v4l_dmabuf.compare.comparability import Difference
from v4l_dmabuf.compare.comparison import FAMILY_LEVEL, Comparison
from v4l_dmabuf.compare.markdown import Names, plain

FORMAT = "v4l-dmabuf-comparison"
FORMAT_VERSION = 1


def document(comparison: Comparison, names: Names) -> dict[str, Any]:
    """Make it."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "verdict": comparison.verdict.value,
        "sides": [
            {"name": name, "runs": [plain(str(run.path)) for run in side]}
            for name, side in zip(names, (comparison.a, comparison.b), strict=True)
        ],
        "failures": [plain(line) for line in comparison.failures],
        "missing": [{"name": each.name, "why": each.why} for each in comparison.missing],
        "mismatches": [_difference(each) for each in comparison.mismatches],
        "explanations": [_difference(each) for each in comparison.explanations],
        "confidence": FAMILY_LEVEL,
        "figures": [
            {
                "name": row.name,
                "unit": row.unit,
                "a": row.a,
                "b": row.b,
                "difference": row.b - row.a,
                "low": None if row.interval is None else row.interval.low,
                "high": None if row.interval is None else row.interval.high,
                "tolerance": row.tolerance,
                "verdict": row.verdict.value,
                "note": row.note,
            }
            for row in comparison.rows
        ],
    }


def _difference(difference: Difference) -> dict[str, Any]:
    return {"name": difference.name, "a": list(difference.a), "b": list(difference.b)}
