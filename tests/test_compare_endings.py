"""v4l-dmabuf-compare's exit status is a verdict only where it says so, whatever it is given."""

import copy
import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from comparing import Document, runs, written
from support import BIN
from v4l_dmabuf.commands.compare import compare_main

VERDICTS = {0, 1, 3}
UNUSABLE = 2
FAULT = 70
INTERRUPTED = 130


@pytest.fixture
def files(real: Document, tmp_path: Path) -> list[str]:
    """Give arguments of which the status is 0."""
    a, b = written(tmp_path, "a", runs(real, 0)), written(tmp_path, "b", runs(real, 9))
    return ["--a", *a, "--b", *b]


def shell(redirection: str, files: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["sh", "-c", f'exec "$0" "$@" {redirection}', str(BIN / "v4l-dmabuf-compare"), *files],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_closed_standard_output_is_no_verdict(files: list[str]) -> None:
    process = shell(">&-", files)
    stderr = process.communicate()[1]
    assert process.returncode == UNUSABLE
    assert "standard output is closed: give --markdown FILE" in stderr
    assert "Traceback" not in stderr


def test_nor_is_it_needed_for_a_file(files: list[str], tmp_path: Path) -> None:
    process = shell(">&-", [*files, "--markdown", str(tmp_path / "x.md")])
    assert (process.communicate()[1], process.returncode) == ("", 0)


def test_a_broken_pipe_is_no_verdict(files: list[str]) -> None:
    with shell("", files) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        stderr = process.stderr.read()
    assert process.returncode == UNUSABLE
    assert stderr == ("v4l-dmabuf-compare: error: cannot write to standard output: Broken pipe\n")


@pytest.mark.parametrize("redirection", ["2>&-", ">/dev/full 2>&-", ">/dev/full 2>/dev/full"])
def test_nobody_to_tell_is_no_verdict(redirection: str, files: list[str]) -> None:
    process = shell(redirection, ["missing.json", *files[1:2]])
    process.communicate()
    assert process.returncode not in VERDICTS


@pytest.mark.parametrize("option", ["--markdown", "--json", "--html"])
def test_a_file_that_cannot_be_written_is_one_line(
    option: str, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for path, why in (("/dev/full", "No space left on device"), ("/none/x", "No such file")):
        assert compare_main([*files, option, path]) == UNUSABLE
        assert f"cannot write {path}: {why}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (KeyboardInterrupt(), INTERRUPTED),
        (MemoryError(), FAULT),
        (RuntimeError("why"), FAULT),
        (KeyError("why"), FAULT),
        (ValueError("why"), FAULT),
        (ImportError("why"), FAULT),
    ],
)
def test_what_nobody_expected_has_a_status_of_its_own(
    raised: BaseException,
    status: int,
    files: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr("v4l_dmabuf.compare.compare", fail)
    assert compare_main(files) == status
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("v4l-dmabuf-compare: error: ")


def test_a_library_that_does_not_load_is_no_verdict(files: list[str], tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('libfortran.so: not found')\n")
    process = shell("", files, PYTHONPATH=str(tmp_path))
    stderr = process.communicate()[1]
    assert process.returncode == FAULT
    assert "libfortran.so: not found" in stderr


Path_ = tuple[str | int, ...]


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Give the paths of all that a document has, of long lists a few."""
    yield path
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value[:2]))
    for name, each in inner:
        yield from places(each, (*path, name))


def changed(document: Document, path: Path_, change: Callable[[Any, str | int], None]) -> Document:
    other: Document = copy.deepcopy(document)
    at: Any = other
    for name in path[:-1]:
        at = at[name]
    change(at, path[-1])
    return other


def delete(at: Any, name: str | int) -> None:
    del at[name]


WRONG: list[Any] = [
    *(
        None,
        True,
        False,
        -1,
        0,
        7,
        0.5,
        1e-320,
        1e300,
        10**400,
        -0.0,
        "",
        "x",
        "\ud800",
        "\x1b[2J",
    ),
    *([], {}, [[]], [None], ["x"], [1], [-1], {"x": []}, float("nan"), float("inf")),
]


def mutants(document: Document, generator: random.Random, count: int) -> Iterator[Document]:
    """Give as many documents, each of which is wrong in a place or two."""
    everywhere = [path for path in places(document) if path]
    # The parts that are compared, as often as all that is merely told.
    compared = [path for path in everywhere if path[0] in {"summary", "samples", "series"}]
    for _ in range(count):
        other = document
        for _ in range(generator.choice((1, 1, 2))):
            path = generator.choice(generator.choice((everywhere, compared)))
            wrong = generator.choice(WRONG)

            def put(at: Any, name: str | int, wrong: Any = wrong) -> None:
                at[name] = copy.deepcopy(wrong)

            try:
                other = changed(other, path, generator.choice((put, put, put, delete)))
            except (KeyError, IndexError, TypeError):
                continue
        yield other


def test_whatever_a_document_has_the_outcome_is_a_verdict_or_one_line(
    real: Document,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    generator = random.Random(20)  # noqa: S311 -- the same each time
    document = runs(real, 0, 1, frames=60)[0].document
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(document))
    outputs = [f"--{form}={tmp_path / form}" for form in ("json", "html")]
    for number, mutant in enumerate(mutants(document, generator, 400)):
        text = json.dumps(mutant)
        bad.write_text(text)
        # Drawing takes the longest.
        files = outputs if number % 8 == 0 else outputs[:1]
        several = ["--a", *[str(good)] * 3, "--b", *[str(bad)] * 3, *files]
        for arguments in (several, [str(bad), str(good), *files]):
            status = compare_main(arguments)
            out, err = capsys.readouterr()
            assert status in {UNUSABLE, *VERDICTS}, (err, text)
            if status == UNUSABLE:
                assert err.count("\n") == 1, err
                assert err.startswith(f"v4l-dmabuf-compare: error: {bad} "), err
            else:
                assert err == "", text
                assert "\x1b" not in out


MALFORMED: dict[str, tuple[Path_, Any]] = {
    "summary.frames is not a count": (("summary", "frames"), "many"),
    "summary.frames is not a count ": (("summary", "frames"), True),
    "summary.lost is not a count or null": (("summary", "lost"), -1),
    "summary.protocol is not 1 or 2 or 3 or null": (("summary", "protocol"), 4),
    "summary.round_trip is not a number of seconds or null": (("summary", "round_trip"), []),
    "role is not sender or receiver": (("role",), "other"),
    "samples is not an object": (("samples",), []),
    "series is not an object": (("series",), None),
    "samples.transfer is not a list of seconds or nulls": (("samples", "transfer"), ["x"] * 60),
    "the columns of samples are not of one length": (("samples", "transfer"), [0.1]),
    "samples.at goes back in time": (("samples", "at"), [*range(59), 0.0]),
    "samples.counter does not count up": (("samples", "counter"), [0] * 60),
    "samples.stride is not a count from 1 on": (("samples", "stride"), 0),
    "series.seconds is not a length of time": (("series", "seconds"), 0),
    "environment is not an object": (("environment",), "none"),
}


@pytest.mark.parametrize("told", MALFORMED)
def test_a_malformed_result_is_told_by_what_is_wrong(
    told: str,
    real: Document,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, wrong = MALFORMED[told]
    document = runs(real, 0, 1, frames=60)[0].document

    def put(at: Any, name: str | int) -> None:
        at[name] = wrong

    file = tmp_path / "x.json"
    file.write_text(json.dumps(changed(document, path, put)))
    assert compare_main([str(file), str(file)]) == UNUSABLE
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert told.strip() in err
    file.write_text(json.dumps(changed(document, path, delete)))
    assert compare_main([str(file), str(file)]) == UNUSABLE
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "text", ["NaN", "[" * 100_000, '{"a":' * 500 + "1" + "}" * 500, "9" * 5000, "\xff", ""]
)
def test_what_is_hardly_json_is_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(text.encode("latin-1"))
    assert compare_main([str(file), str(file)]) == UNUSABLE
    assert capsys.readouterr().err.count("\n") == 1


def test_environments_that_nest_too_deep_are_one_line(
    real: Document,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = runs(real, 0, 1, frames=60)[0].document
    nested: Any = {}
    for _ in range(400):
        nested = {"x": nested}
    document["environment"] = nested
    file = tmp_path / "x.json"
    file.write_text(json.dumps(document))
    assert compare_main([str(file), str(file)]) == UNUSABLE
    assert "it nests too deep" in capsys.readouterr().err
