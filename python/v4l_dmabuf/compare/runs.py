"""The results of runs, as they are read."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from v4l_dmabuf.compare.shape import fault
from v4l_dmabuf.reading import ResultError, check_kind, read_result

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """The result of a run.

    Raises:
        ResultError: the document is no result, or is one of a run without a stream.

    """

    path: Path
    """Where it was read from."""
    document: dict[str, Any]
    """All of it, in the form of docs/result.schema.json."""

    def __post_init__(self) -> None:
        """Refuse what is no result: no figure of it would mean what it is called."""
        path, document = self.path, self.document
        check_kind(path, document)
        if document.get("summary") is None or document.get("samples") is None:
            why = document.get("error") or "it has no figures"
            raise ResultError(f"{path} is the result of a run that had no stream: {why}")
        wrong = fault(document)
        if wrong is not None:
            raise ResultError(f"{path} is no whole result of a run: {wrong}; make the run again")

    @property
    def summary(self) -> dict[str, Any]:
        """What came of the run."""
        summary: dict[str, Any] = self.document["summary"]
        return summary

    @property
    def failure(self) -> str | None:
        """What failed, if anything did."""
        error = self.document["error"]
        if error is None and self.document["outcome"] == "failed":
            return "it failed, and does not say why"
        return None if error is None else str(error)

    @property
    def has_frame_times(self) -> bool:
        """Whether its wire has the receiver tell when each frame came, and all counts."""
        return self.summary["protocol"] not in {1, 2}

    def samples(self, stage: str) -> Floats:
        """Give single frames' times of a stage in seconds, in order, those that are known."""
        values = np.array(self.document["samples"][stage], dtype=np.float64)
        return values[~np.isnan(values)]

    def intervals(self) -> Floats:
        """Give the seconds from frame to frame, if no frame was left out of the samples."""
        if self.document["samples"]["stride"] != 1:
            return np.array([], dtype=np.float64)
        return np.diff(self.samples("at"))

    def mean_intervals(self) -> Floats:
        """Give the seconds from frame to frame, where some were left out the mean of a few."""
        at = np.array(self.document["samples"]["at"], dtype=np.float64)
        counter = np.array(self.document["samples"]["counter"], dtype=np.float64)[~np.isnan(at)]
        at = at[~np.isnan(at)]
        # Frames of one moment have no rate.
        if len(at) < 2 or at[-1] <= at[0]:
            return np.array([], dtype=np.float64)
        return np.diff(at) / np.diff(counter)


def load(paths: Iterable[str | os.PathLike[str]]) -> list[Run]:
    """Read runs.

    Raises:
        ResultError: a file can't be read, is no result, or is one of a run without a stream.

    """
    return [Run(Path(path), read_result(Path(path))) for path in paths]
