"""Alternating fields: two of them make a frame."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from reference_v3 import description, end, frame, greet, next_field, result_of
from support import connect, receiver_command

ALTERNATE, TOP, BOTTOM = 7, 2, 3


def received(
    port: int, folder: Path, fields: list[tuple[int, int]]
) -> tuple[str, dict[str, Any], list[dict[str, str]]]:
    """Send fields, each by its sequence number and which it is.

    Gives what the receiver says, its summary and its records.
    """
    report, records = folder / "report", folder / "records"
    options = ("--report", report, "--records", records)
    described = description(field=ALTERNATE, frame_interval=[1, 25])
    with receiver_command(port, *options) as command, connect(port) as connection:
        with greet(connection, port, described) as control:
            for counter, (sequence, field) in enumerate(fields):
                told = next_field(field) if field else b""
                connection.sendall(told + frame(b"x", counter=counter, sequence=sequence))
            connection.sendall(end(len(fields), len(fields)))
            assert result_of(control) == (len(fields), 0, 0, "")
        assert command.wait() == 0, command.stderr
    with records.open() as lines:
        rows = list(csv.DictReader(lines))
    return command.stderr, json.loads(report.read_text())["summary"], rows


def test_the_fields_of_a_frame_have_one_number_and_none_is_missing(
    port: int, tmp_path: Path
) -> None:
    fields = [(number, field) for number in range(5, 8) for field in (TOP, BOTTOM)]
    said, summary, rows = received(port, tmp_path, fields)
    assert (summary["drops"], summary["field"]) == (0, "alternate"), said
    assert "received 6 fields" in said, said
    assert "fields a second" in said, said
    assert "fps" not in said, said
    assert [(row["sequence"], row["field"]) for row in rows] == [
        (str(number), str(field)) for number, field in fields
    ]


@pytest.mark.parametrize("first", [TOP, BOTTOM])
def test_missing_fields_are_counted(port: int, tmp_path: Path, first: int) -> None:
    second = TOP + BOTTOM - first
    fields = [(0, first), (0, second), (1, second), (2, first), (2, second), (4, first)]
    _, summary, _ = received(port, tmp_path, fields)
    # Of 1 the first, and of 3 both.
    assert summary["drops"] == 3
    assert summary["bursts"] == summary["missing_bursts"] == {"1": 1, "2": 1}


def test_fields_of_senders_that_do_not_tell_which_are_no_counter(
    port: int, tmp_path: Path
) -> None:
    _, summary, rows = received(port, tmp_path, [(0, 0), (0, 0), (1, 0), (1, 0)])
    assert summary["drops"] is None
    assert {row["field"] for row in rows} == {""}
