"""What a verdict is, and what several come to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What a check came to."""

    PASS = "pass"  # noqa: S105 -- no secret
    FAIL = "fail"
    SKIP = "skip"
    """It could not be told: that is no pass."""


@dataclass(frozen=True)
class Verdict:
    """A figure, its limit, and whether it keeps to it."""

    name: str
    """What the figure is called."""
    outcome: Outcome
    value: float | str | None = None
    """The figure; None if it is not known."""
    unit: str = ""
    """Of the figure."""
    limit: str = ""
    """What it was to be, in words."""
    why: str = ""
    """Why it could not be told, or what else there is to say."""

    @property
    def shown(self) -> str:
        """The figure and its unit; a dash if it is not known."""
        if self.value is None:
            return "-"
        value = self.value if isinstance(self.value, str) else number(self.value)
        return f"{value} {self.unit}".rstrip()

    @property
    def told(self) -> str:
        """The figure, its limit and the reason, in a line."""
        if self.value is None:
            return f"{self.why} ({self.limit})" if self.limit else self.why
        limit = f" ({self.limit})" if self.limit else ""
        return f"{self.shown}{limit}{': ' if self.why else ''}{self.why}"


@dataclass(frozen=True)
class Suite:
    """The verdicts on one thing: a result, or a comparison."""

    name: str
    verdicts: Sequence[Verdict]


def number(value: float) -> str:
    """Write a number, of a measurement with five digits."""
    if isinstance(value, int) or value.is_integer():
        return f"{int(value)}"
    return f"{value:.5g}" if abs(value) < 1e5 else f"{value:.0f}"


def status(suites: Iterable[Suite]) -> int:
    """Give the exit status: 1 if a check fails; else 3 if one could not be told; else 0."""
    outcomes = {verdict.outcome for suite in suites for verdict in suite.verdicts}
    if Outcome.FAIL in outcomes:
        return 1
    return 3 if Outcome.SKIP in outcomes else 0
