"""A run's result as one JSON document: what was asked for, what came of it, and on what.

Its form is that of docs/result.schema.json in the repository.
"""

import json
import os
import resource
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from v4l_dmabuf import _core
from v4l_dmabuf.config import Config
from v4l_dmabuf.environment import environment, steal_seconds
from v4l_dmabuf.network import network
from v4l_dmabuf.report import Report
from v4l_dmabuf.resources import Resources

FORMAT = "v4l-dmabuf-result"
FORMAT_VERSION = 1


class Recording:
    """A run that is to be written down: make it before the run, and end it after."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: Config,
        role: str,
    ) -> None:
        """Take note of what is there before a run of ``role``: sender, receiver or capture."""
        self.path = path
        self._config = config
        self._role = role
        self._began = datetime.now(UTC)
        self._clock = time.monotonic()
        self._steal = steal_seconds()
        self._environment = environment()
        self._cpu = _cpu_seconds()
        self._resources = Resources()

    def end(
        self,
        report: Report | None,
        details: dict[str, Any] | None,
        wanted: int | None,
        error: BaseException | None = None,
    ) -> str:
        """Give the result, as JSON, of a run of ``wanted`` frames (None: no limit).

        ``details`` are the core's: histograms, series, samples, the sender's description.
        """
        document = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "tool": {"name": "v4l-dmabuf", "version": _core.__version__},
            "role": self._role,
            "outcome": _outcome(report, wanted, error),
            "error": None if error is None else str(error) or type(error).__name__,
            "began": self._began.isoformat(timespec="milliseconds"),
            "wall_seconds": time.monotonic() - self._clock,
            "frames_wanted": wanted,
            "settings": _settings(self._config),
            "labels": dict(self._config.labels),
            "summary": None if report is None else asdict(report),
            "stream": _described(details),
            **_figures(details),
            "environment": self._environment,
            "network": _network(details),
            "consumers": [] if details is None else details["consumers"],
            "steal_seconds": self._stolen(),
            "resources": self._resources.end(),
            "cpu_seconds": round(_cpu_seconds() - self._cpu, 6),
        }
        return _text(document)

    def close(self) -> None:
        """Leave off, whether there is a result or not. May be called again."""
        self._resources.stop()

    def _stolen(self) -> float | None:
        now = steal_seconds()
        return None if now is None or self._steal is None else round(now - self._steal, 3)


def _cpu_seconds() -> float:
    """Give the CPU time of this process, the kernel's for it included."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _text(document: dict[str, Any]) -> str:
    """Give the document as JSON: a line a column of figures, which are many, and else indented."""
    figures = {name: document.pop(name) for name in ("histograms", "series", "samples")}
    head = json.dumps(document, indent=2, allow_nan=False).removesuffix("\n}")
    parts = [head]
    for name, columns in figures.items():
        if columns is None:
            parts.append(f"  {json.dumps(name)}: null")
            continue
        lines = [
            f"    {json.dumps(column)}: {json.dumps(_rounded(values), allow_nan=False)}"
            for column, values in columns.items()
        ]
        parts.append(f"  {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n  }")
    return ",\n".join(parts) + "\n}\n"


def _rounded(values: Any) -> Any:
    """Round seconds to 100 nanoseconds: no clock that is compared here is better."""
    if isinstance(values, float):
        return round(values, 7)
    return [_rounded(value) for value in values] if isinstance(values, list | tuple) else values


def _described(details: dict[str, Any] | None) -> Any:
    text = None if details is None else details["described"]
    return None if text is None else json.loads(text)


def _network(details: dict[str, Any] | None) -> dict[str, Any] | None:
    connection = None if details is None else details["network"]
    return None if connection is None else {**connection, **network(connection["local"])}


def _figures(details: dict[str, Any] | None) -> dict[str, Any]:
    names = ("histograms", "series", "samples")
    return {name: None if details is None else details[name] for name in names}


def _outcome(report: Report | None, wanted: int | None, error: BaseException | None) -> str:
    if error is not None or report is None:
        return "failed"
    if wanted is None or report.frames >= wanted or report.due:
        return "complete"
    return "stopped" if report.stopped else "short"


def _settings(config: Config) -> dict[str, Any]:
    beside = {"labels", "report"}
    return {name: value for name, value in asdict(config).items() if name not in beside}
