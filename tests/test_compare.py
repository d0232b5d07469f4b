"""v4l-dmabuf-compare: what it sees, what it doesn't, and that it knows the difference."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from comparing import Document, row, runs, without, written
from v4l_dmabuf.commands.compare import compare_main
from v4l_dmabuf.compare import ResultError, Run, Verdict, compare, load
from v4l_dmabuf.compare.markdown import markdown

COMPARE = Path(sys.executable).with_name("v4l-dmabuf-compare")


def test_a_system_is_the_same_as_itself(real: Document) -> None:
    comparison = compare(runs(real, 0), runs(real, 100))
    assert comparison.differences == []
    assert comparison.verdict is Verdict.SAME
    assert row(comparison, "frame rate").verdict is Verdict.SAME


def test_starting_up_is_no_advantage_of_longer_runs(real: Document) -> None:
    sides = runs(real, 0), runs(real, 100, frames=600)
    for side in sides:
        for each in side:
            each.document["frames_wanted"] = each.summary["frames"]
            each.document["cpu_seconds"] += 0.5
    comparison = compare(*sides)
    cpu = row(comparison, "CPU of the process a frame")
    assert cpu.verdict is Verdict.NOT_ENOUGH_DATA
    assert "not as long" in cpu.note
    assert "frames wanted" in [difference.name for difference in comparison.explanations]


def test_it_does_not_cry_wolf(real: Document) -> None:
    for sides in (1, 5):
        called = [
            compare(
                runs(real, 1000 * number, sides), runs(real, 1000 * number + 500, sides)
            ).differences
            for number in range(20)
        ]
        assert sum(map(bool, called)) <= 1, f"{sides} runs a side: {called}"


@pytest.mark.parametrize(
    ("fields", "name", "verdict"),
    [
        ({"latency_ms": 6.5}, "socket to buffer, median", Verdict.WORSE),
        ({"latency_ms": 3.5}, "socket to buffer, median", Verdict.BETTER),
        ({"fps": 27.0}, "frame rate", Verdict.WORSE),
        ({"fps": 33.0}, "frame rate", Verdict.BETTER),
        ({"drops": 9}, "frames dropped before the sender had them", Verdict.WORSE),
    ],
)
def test_what_is_different_is_seen(
    real: Document, fields: dict[str, Any], name: str, verdict: Verdict
) -> None:
    comparison = compare(runs(real, 0), runs(real, 100, **fields))
    assert row(comparison, name).verdict is verdict
    assert comparison.verdict is verdict


def test_single_runs_have_to_differ_by_more(real: Document) -> None:
    little = compare(runs(real, 0, 1), runs(real, 100, 1, latency_ms=6.2, spread=0))
    told = row(little, "socket to buffer, median")
    assert told.verdict is Verdict.NOT_ENOUGH_DATA
    assert "3 runs a side" in told.note
    much = compare(runs(real, 0, 1), runs(real, 100, 1, latency_ms=15.0))
    assert row(much, "socket to buffer, median").verdict is Verdict.WORSE


def test_a_tail_that_the_frames_do_not_carry_is_not_judged(real: Document) -> None:
    tail = row(compare(runs(real, 0), runs(real, 100)), "socket to buffer, 99 %")
    assert (tail.verdict, tail.note) == (Verdict.NOT_ENOUGH_DATA, "300 frames do not carry it")
    longer = compare(runs(real, 0, frames=800), runs(real, 100, frames=800))
    assert "carry" not in row(longer, "socket to buffer, 99 %").note


def test_a_difference_within_the_clocks_doubt_is_none(real: Document) -> None:
    sides = runs(real, 0), runs(real, 100, latency_ms=6.5)
    for side in (*sides[0], *sides[1]):
        side.summary["offset_bound"] = 0.002
    assert row(compare(*sides), "socket to buffer, median").verdict is not Verdict.WORSE


def test_runs_of_another_kind_are_not_compared(real: Document) -> None:
    other = runs(real, 100, latency_ms=50.0)
    for side in other:
        side.summary["width"] = 1280
    comparison = compare(runs(real, 0), other)
    assert comparison.verdict is Verdict.NOT_COMPARABLE
    assert [difference.name for difference in comparison.mismatches] == ["width"]


def test_what_else_differs_is_told(real: Document) -> None:
    other = runs(real, 100)
    for side in other:
        side.document["environment"]["kernel"]["hz"] = 1000
        side.document["labels"] = {"vmm": "crosvm"}
    names = [each.name for each in compare(runs(real, 0), other).explanations]
    assert names == ["environment kernel hz", "labels vmm"]


def test_long_texts_are_shown_from_where_they_differ(real: Document) -> None:
    sides = runs(real, 0), runs(real, 100)
    same = "console=ttyS0 root=/dev/vda1 " + " ".join(f"module.option{n}=1" for n in range(10))
    for side, address in zip(sides, ("10.0.0.1", "10.0.0.2"), strict=True):
        for run in side:
            run.document["environment"]["kernel"]["command_line"] = f"{same} ip={address} quiet"
    text = markdown(compare(*sides), ("A", "B"))
    assert "| … ip=10.0.0.1 quiet | … ip=10.0.0.2 quiet |" in text


def test_a_slower_camera_is_worse_and_its_frame_interval_may_explain_it(real: Document) -> None:
    other = runs(real, 100, fps=27.0)
    for side in other:
        side.document["stream"]["frame_interval"] = [1, 27]
    comparison = compare(runs(real, 0), other)
    assert comparison.verdict is Verdict.WORSE
    assert [each.name for each in comparison.explanations] == ["stream frame interval"]


def test_receivers_results_of_other_rates_are_not_compared(real: Document) -> None:
    """What the sender asked for is not known there."""
    sides = runs(real, 0), runs(real, 100)
    for side in (*sides[0], *sides[1]):
        side.document["role"] = "receiver"
    for side in sides[1]:
        side.document["stream"]["frame_interval"] = [1, 27]
    told = [difference.name for difference in compare(*sides).mismatches]
    assert told == ["sender's frame interval"]


def test_a_run_that_cannot_tell_of_drops_leaves_the_others(real: Document) -> None:
    some = runs(real, 0, drops=3)
    some[0].summary["driver_drops"] = None
    told = row(compare(some, runs(real, 100)), "frames dropped before the sender had them")
    assert told.note == "unknown in 1 run"
    assert told.a == pytest.approx(100 * 3 / 303, rel=0.01)


def test_failed_runs_vouch_for_nothing(real: Document) -> None:
    """What became of the others says nothing of those that failed."""
    for fps in (30.0, 33.0):
        other = runs(real, 100, fps=fps)
        for side in other[1:]:
            side.document.update(outcome="failed", error="the device is gone")
        comparison = compare(runs(real, 0), other)
        assert len(comparison.failures) == 4
        assert comparison.verdict is Verdict.NOT_ENOUGH_DATA
    silent = runs(real, 100)
    silent[0].document["outcome"] = "failed"
    assert compare(runs(real, 0), silent).verdict is Verdict.NOT_ENOUGH_DATA


def test_failed_runs_hide_no_difference(real: Document) -> None:
    other = runs(real, 100, fps=20.0)
    other[0].document.update(outcome="failed", error="the device is gone")
    assert compare(runs(real, 0), other).verdict is Verdict.WORSE


def thinned(of: Run, stride: int) -> Run:
    """Leave out frames of a run's samples, as is done with long ones."""
    samples = of.document["samples"]
    for name, column in samples.items():
        samples[name] = stride if name == "stride" else column[::stride]
    return of


@pytest.mark.parametrize("several", [1, 5])
def test_long_runs_have_a_frame_rate(real: Document, several: int) -> None:
    a, b, half = (
        [
            thinned(each, 2)
            for each in runs(real, first, several, frames=frames, fps=fps, spread=0.0)
        ]
        for first, frames, fps in ((0, 16_384, 30.0), (100, 17_000, 30.0), (200, 16_384, 15.0))
    )
    same = compare(a, b)
    assert row(same, "frame rate").a == pytest.approx(30.0, rel=0.01)
    assert row(same, "frame rate").verdict is Verdict.SAME
    assert row(compare(a, half), "frame rate").verdict is Verdict.WORSE


def test_what_decides_and_is_missing_is_no_sameness(real: Document) -> None:
    comparison = compare(runs(real, 0), without(runs(real, 100), "transfer"))
    assert [each.name for each in comparison.missing] == ["socket to buffer, median"]
    assert comparison.verdict is Verdict.NOT_ENOUGH_DATA
    faster = compare(runs(real, 0), without(runs(real, 100, fps=33.0), "transfer"))
    assert faster.verdict is Verdict.NOT_ENOUGH_DATA
    one = compare(runs(real, 0), [*without(runs(real, 100, 1), "transfer"), *runs(real, 101, 4)])
    assert [each.why for each in one.missing] == ["unknown in 1 run"]


@pytest.mark.parametrize("count", ["driver_drops", "sender_drops", "lost"])
def test_counts_that_no_run_knows_are_no_sameness(real: Document, count: str) -> None:
    other = runs(real, 100)
    for each in other:
        each.summary[count] = None
    comparison = compare(runs(real, 0), other)
    assert comparison.verdict is Verdict.NOT_ENOUGH_DATA
    assert len(comparison.missing) == 1


def test_incomplete_frames_are_worse(real: Document) -> None:
    other = runs(real, 100)
    for each in other:
        each.summary["incomplete_frames"] = 30
    comparison = compare(runs(real, 0), other)
    assert row(comparison, "incomplete frames").verdict is Verdict.WORSE
    older = runs(real, 200)
    for each in older:
        del each.summary["incomplete_frames"]
    assert compare(older, older).missing == []
    assert [each.name for each in compare(older, other).missing] == ["incomplete frames"]


def test_frames_of_one_moment_have_no_rate(real: Document) -> None:
    other = runs(real, 100)
    for each in other:
        each.document["samples"]["at"] = [0.0] * 300
    comparison = compare(runs(real, 0), other)
    assert [each.name for each in comparison.missing] == ["frame rate"]
    assert comparison.verdict is Verdict.NOT_ENOUGH_DATA


def of_version_2(several: list[Run]) -> list[Run]:
    for each in without(several, "transfer"):
        each.summary.update(protocol=2, lost=None, sender_drops=None, round_trip=None)
    return several


def test_version_2_decides_by_the_frame_rate(real: Document) -> None:
    assert compare(of_version_2(runs(real, 0)), of_version_2(runs(real, 100))).verdict is (
        Verdict.SAME
    )
    slower = of_version_2(runs(real, 100, fps=27.0))
    assert compare(of_version_2(runs(real, 0)), slower).verdict is Verdict.WORSE
    none = without(of_version_2(runs(real, 100)), "at")
    assert compare(of_version_2(runs(real, 0)), none).verdict is Verdict.NOT_ENOUGH_DATA


@pytest.mark.parametrize(
    ("fields", "status"), [({}, 0), ({"fps": 27.0}, 1), ({"fps": 33.0}, 0), ({"frames": 8}, 3)]
)
def test_the_exit_status_is_the_verdict(
    real: Document, tmp_path: Path, fields: dict[str, Any], status: int
) -> None:
    a, b = written(tmp_path, "a", runs(real, 0)), written(tmp_path, "b", runs(real, 9, **fields))
    out = tmp_path / "out.md"
    assert compare_main(["--a", *a, "--b", *b, "--markdown", str(out)]) == status


def test_every_form_of_it_says_the_same(
    real: Document, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = written(tmp_path, "a", runs(real, 0))
    b = written(tmp_path, "b", runs(real, 9, latency_ms=9.0))
    json_path, page_path = tmp_path / "x.json", tmp_path / "x.html"
    names = ["--name-a", "KVM", "--name-b", "Xen <PV>"]
    files = ["--json", str(json_path), "--html", str(page_path)]
    assert compare_main(["--a", *a, "--b", *b, *names, *files]) == 1
    markdown = capsys.readouterr().out
    assert markdown.startswith("# Xen <PV> against KVM: worse\n")
    assert "Xen <PV> is worse in socket to buffer, median" in markdown
    told = json.loads(json_path.read_text())
    assert (told["verdict"], [side["name"] for side in told["sides"]]) == (
        "worse",
        ["KVM", "Xen <PV>"],
    )
    page = page_path.read_text()
    assert "Xen &lt;PV&gt; against KVM" in page
    assert "<PV>" not in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "")
    pictures = page.count("<svg")
    assert pictures == 3
    for svg in page.split("<svg")[1:]:
        ET.fromstring("<svg" + svg.split("</svg>")[0] + "</svg>")  # noqa: S314 -- our own


@pytest.mark.parametrize("locale", ["C", "C.ISO-8859-1", "C.UTF-8"])
def test_files_are_utf_8_whatever_the_locale(real: Document, tmp_path: Path, locale: str) -> None:
    a, b = written(tmp_path, "a", runs(real, 0)), written(tmp_path, "b", runs(real, 9))
    files = {form: tmp_path / f"x.{form}" for form in ("html", "json", "markdown")}
    subprocess.run(
        [
            *(str(COMPARE), "--a", *a, "--b", *b, "--name-a", "caméra ✓"),
            *(part for form, path in files.items() for part in (f"--{form}", str(path))),
        ],
        env={"PATH": os.environ["PATH"], "LC_ALL": locale, "PYTHONUTF8": "0"}
        | {"PYTHONCOERCECLOCALE": "0"},
        check=True,
    )
    texts = {form: path.read_bytes().decode("utf-8") for form, path in files.items()}
    assert "caméra ✓" in texts["html"]
    assert "caméra ✓" in texts["markdown"]
    assert json.loads(texts["json"])["sides"][0]["name"] == "caméra ✓"
    assert '<meta charset="utf-8">' in texts["html"]


def test_two_results_may_be_given_bare(
    real: Document, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [*written(tmp_path, "a", runs(real, 0, 1)), *written(tmp_path, "b", runs(real, 9, 1))]
    assert compare_main(paths) in {0, 3}
    assert "1 and 1 runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("not JSON", "is no result of a run"),
        ("[]", "--report writes one"),
        ('{"format": "v4l-dmabuf-result", "format_version": 99}', "of version 99"),
        (
            '{"format": "v4l-dmabuf-result", "format_version": 1, "summary": null, "error": "x"}',
            "had no stream: x",
        ),
    ],
)
def test_what_is_no_result_is_one_clear_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ResultError, match=told):
        load([path])
    assert compare_main([str(path), str(path)]) == 2


@pytest.mark.parametrize("arguments", [[], ["a.json"], ["--a", "x"], ["1", "2", "3"]])
def test_two_sides_are_needed(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        compare_main(arguments)
    assert ended.value.code == 2
