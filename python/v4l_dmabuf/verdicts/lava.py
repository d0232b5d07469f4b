"""Verdicts as LAVA's signals, which its dispatcher finds in a test's output.

Source: LAVA's documentation, "Writing tests", LAVA_SIGNAL_TESTCASE.
"""

import re
from collections.abc import Sequence

from v4l_dmabuf.verdicts.verdict import Suite, number


def lava(suites: Sequence[Suite]) -> str:
    """Give a signal a verdict; of several suites, test cases have theirs in their names."""
    lines = []
    for suite in suites:
        prefix = f"{suite.name} " if len(suites) > 1 else ""
        for verdict in suite.verdicts:
            measured = ""
            if isinstance(verdict.value, int | float):
                units = re.sub(r"\s", "_", verdict.unit) or "none"
                measured = f" MEASUREMENT={number(verdict.value)} UNITS={units}"
            name = _name(prefix + verdict.name)
            outcome = verdict.outcome.value
            lines.append(f"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID={name} RESULT={outcome}{measured}>")
    return "".join(f"{line}\n" for line in lines)


def _name(name: str) -> str:
    """Give a test case's name: LAVA takes no spaces, and few signs."""
    return re.sub(r"[^\w.]+", "-", name.replace("%", "percent"), flags=re.ASCII).strip("-").lower()
