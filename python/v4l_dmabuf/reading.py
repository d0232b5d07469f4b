"""Results of runs, as they are read from files."""

import json
from pathlib import Path
from typing import Any, NoReturn

from v4l_dmabuf.result import FORMAT, FORMAT_VERSION


class ResultError(ValueError):
    """A file can't be read, or is no result of a run."""


def read_result(path: Path) -> dict[str, Any]:
    """Read a result, in the form of docs/result.schema.json.

    Raises:
        ResultError: the file can't be read, or is none.

    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{path} is no result of a run: {error}") from error
    check_kind(path, document)
    result: dict[str, Any] = document
    return result


def check_kind(path: Path, document: Any) -> None:
    """Refuse what is no result, or one of another version.

    Raises:
        ResultError: it is.

    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ResultError(f"{path} is no result of a run: --report writes one")
    if document.get("format_version") != FORMAT_VERSION:
        raise ResultError(
            f"{path} is a result of version {document.get('format_version')!r}, "
            f"and this reads version {FORMAT_VERSION}"
        )


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")
