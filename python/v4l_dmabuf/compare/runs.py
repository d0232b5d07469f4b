"""The results of runs, as they are read."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v4l_dmabuf.result import FORMAT, FORMAT_VERSION

Floats = NDArray[np.float64]


class RunError(ValueError):
    """A file is no result of a run, or not one that can be compared."""


@dataclass(frozen=True)
class Run:
    """The result of a run."""

    path: Path
    """Where it was read from."""
    document: dict[str, Any]
    """All of it, in the form of docs/result.schema.json."""

    @property
    def summary(self) -> dict[str, Any]:
        """What came of the run."""
        summary: dict[str, Any] = self.document["summary"]
        return summary

    def samples(self, stage: str) -> Floats:
        """Give single frames' times of a stage in seconds, in order, those that are known."""
        values = [value for value in self.document["samples"][stage] if value is not None]
        return np.array(values, dtype=np.float64)

    def intervals(self) -> Floats:
        """Give the seconds from frame to frame, if no frame was left out of the samples."""
        if self.document["samples"]["stride"] != 1:
            return np.array([], dtype=np.float64)
        return np.diff(self.samples("at"))


def load(paths: Iterable[str | os.PathLike[str]]) -> list[Run]:
    """Read runs.

    Raises:
        RunError: a file can't be read, is no result, or is one of a run without a stream.

    """
    return [_load(Path(path)) for path in paths]


def _load(path: Path) -> Run:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise RunError(f"{path} is no result of a run: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise RunError(f"{path} is no result of a run: --report writes one")
    if document.get("format_version") != FORMAT_VERSION:
        raise RunError(
            f"{path} is a result of version {document.get('format_version')}, "
            f"and this compares version {FORMAT_VERSION}"
        )
    if document.get("summary") is None or document.get("samples") is None:
        why = document.get("error") or "it has no figures"
        raise RunError(f"{path} is the result of a run that had no stream: {why}")
    return Run(path, document)
