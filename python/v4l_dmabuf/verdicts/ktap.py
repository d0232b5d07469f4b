"""Verdicts as KTAP, version 1.

Source: the kernel's "The Kernel Test Anything Protocol (KTAP), version 1".
"""

from collections.abc import Sequence

from v4l_dmabuf.text import escaped
from v4l_dmabuf.verdicts.verdict import Outcome, Suite, Verdict, status


def ktap(suites: Sequence[Suite]) -> str:
    """Give a test a suite, and in it a test a verdict."""
    lines = ["KTAP version 1", f"1..{len(suites)}"]
    for place, suite in enumerate(suites, 1):
        verdicts = suite.verdicts
        lines += ["  KTAP version 1", f"  1..{len(verdicts)}"]
        for number, verdict in enumerate(verdicts, 1):
            lines += (f"  {line}" for line in _result(number, verdict))
        fails = status([suite])
        skips = " # SKIP not all could be told" if fails == 3 else ""
        lines.append(f"{'not ok' if fails == 1 else 'ok'} {place} {_name(suite.name)}{skips}")
    return "\n".join(lines) + "\n"


def _result(number: int, verdict: Verdict) -> list[str]:
    told = escaped(verdict.told)
    name = _name(verdict.name)
    match verdict.outcome:
        case Outcome.SKIP:
            return [f"ok {number} {name} # SKIP {told}"]
        case Outcome.FAIL:
            return [f"# {told}", f"not ok {number} {name}"]
        case _:
            return [f"# {told}", f"ok {number} {name}"]


def _name(name: str) -> str:
    # What follows a number sign is a directive.
    return escaped(name).replace("#", "_")
