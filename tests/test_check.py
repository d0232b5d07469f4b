"""v4l-dmabuf-check: figures against limits, and the forms that labs read."""

import copy
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from junitparser import Failure, JUnitXml, Skipped

from comparing import Document, real, runs, written
from support import BIN
from v4l_dmabuf.check import LimitError, check, from_toml, limits
from v4l_dmabuf.check.figures import figure

__all__ = ["real"]

HOUR = 3600.0


def times(count: int, p50: float, p99: float | None) -> dict[str, Any]:
    """Give a stage's times, in seconds."""
    percentiles = {"p50": p50} | ({} if p99 is None else {"p99": p99})
    return {
        "count": count,
        "least": p50 / 2,
        "mean": p50,
        "most": 0.25,
        "percentiles": percentiles,
    }


@pytest.fixture
def result(real: Document) -> Document:
    """Give a result whose figures are known."""
    document = copy.deepcopy(real)
    document["summary"] |= {
        "frames": 1000,
        "captured": 1000,
        "driver_drops": 3,
        "sender_drops": 2,
        "lost": 0,
        "fps": 29.97,
        "memory": "dmabuf",
        "zero_copy": True,
        "stages": {"end_to_end": times(1000, 0.012, 0.045), "transfer": times(100, 0.005, None)},
    }
    document["resources"] = {
        "rss": {"first": 1e7, "last": 2e7, "most": 2e7, "slope": 2.0**20 / HOUR},
        "threads": {"first": 4, "last": 4, "most": 4, "slope": None},
    }
    return document


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "v4l-dmabuf-check", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def path(tmp_path: Path, result: Document) -> Path:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result))
    return path


@pytest.mark.parametrize(
    ("options", "outcome", "shown"),
    [
        (["--min-fps", "29.9"], "pass", "29.97 fps"),
        (["--min-fps", "30"], "fail", "29.97 fps"),
        (["--max-drops", "5"], "pass", "5 frames"),
        (["--max-drops", "4"], "fail", "5 frames"),
        (["--max-drops", "0.5%"], "pass", "0.49"),
        (["--max-drops", "0.4%"], "fail", "0.49"),
        (["--max-lost", "0"], "pass", "0 frames"),
        (["--max", "capture to buffer p99=50ms"], "pass", "45 ms"),
        (["--max", "capture to buffer, 99 %=44"], "fail", "45 ms"),
        (["--max", "end_to_end p99=0.05"], "pass", "0.045 s"),
        (["--max", "end_to_end p99=44ms"], "fail", "0.045 s"),
        (["--max", "capture to buffer, median=0.02s"], "pass", "12 ms"),
        (["--max", "capture to buffer longest=200"], "fail", "250 ms"),
        (["--max", "socket to buffer p99=1s"], "skip", "fewer than five of its 100 times"),
        (["--max", "until acknowledged p50=1s"], "skip", "no times of it"),
        (["--max", "frame rate=10ms"], "skip", "it is in fps"),
        (["--min", "fps=29.9"], "pass", "29.97"),
        (["--require", "memory=dmabuf"], "pass", "dmabuf"),
        (["--require", "memory=mmap"], "fail", "dmabuf"),
        (["--require", "zero_copy=true"], "pass", "true"),
        (["--require", "zero_copy=false"], "fail", "true"),
        (["--require", "driver_drops=3"], "pass", "3"),
        (["--require", "spoiled=0"], "skip", "does not know it"),
        (["--max-growth", "rss=1M/h"], "pass", "1048576 B/h"),
        (["--max-growth", "rss=23M/d"], "fail", "1048576 B/h"),
        (["--max-growth", "threads=0/h"], "skip", "less than ten minutes"),
        (["--max-growth", "descriptors=0/h"], "skip", "does not have it"),
    ],
)
def test_a_figure_is_judged_by_its_limit(
    path: Path, options: list[str], outcome: str, shown: str
) -> None:
    told = run(path, *options)
    assert told.stderr == ""
    ran, judged = told.stdout.splitlines()
    assert ran.startswith("pass  run")
    assert judged.startswith(f"{outcome}  ")
    assert shown in judged
    assert told.returncode == {"pass": 0, "fail": 1, "skip": 3}[outcome]


def test_what_fails_outweighs_what_could_not_be_told(path: Path) -> None:
    cannot = ("--max", "socket to buffer p99=1s")
    assert run(path, *cannot, "--min-fps", "20").returncode == 3
    assert run(path, *cannot, "--min-fps", "40").returncode == 1


def test_a_run_that_failed_fails_whatever_its_figures_are(
    tmp_path: Path, result: Document
) -> None:
    result |= {"outcome": "failed", "error": "cannot connect to 10.0.0.2:9000"}
    path = tmp_path / "failed.json"
    path.write_text(json.dumps(result))
    told = run(path, "--min-fps", "20")
    assert told.returncode == 1
    assert "fail  run" in told.stdout
    assert "cannot connect to 10.0.0.2:9000" in told.stdout
    path.write_text(json.dumps(result | {"summary": None}))
    told = run(path, "--min-fps", "20")
    assert told.returncode == 1
    assert "the run has no figures" in told.stdout


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--max=capture to bufer p99=1ms", "no figure is called 'capture to bufer p99'"),
        ("--max=frame rate", "is not NAME=VALUE"),
        ("--min-fps=fast", "'fast' is no number"),
        ("--max=frame rate=1 furlong", "is no number"),
        ("--max-growth=rss=1M", "is no growth, as 1M/h"),
        ("--max-growth=luck=1/h", "'luck' is none of rss"),
        ("--require=memory", "is not NAME=VALUE"),
        ("--limits=/nowhere.toml", "cannot read /nowhere.toml"),
    ],
)
def test_a_limit_that_cannot_be_understood_is_a_matter_of_usage(
    path: Path, option: str, words: str
) -> None:
    told = run(path, option)
    assert told.returncode == 2
    assert words in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": "v4l-dmabuf-result"}', "NaN"])
def test_what_is_no_result_is_one_clear_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    told = run(path)
    assert told.returncode == 2
    assert told.stderr.count("\n") == 1
    assert str(path) in told.stderr


def test_a_file_has_the_same_limits_as_options(tmp_path: Path, result: Document) -> None:
    file = tmp_path / "limits.toml"
    file.write_text("""
min-fps = 29.9
max-drops = "0.1%"
[max]
"capture to buffer p99" = "50ms"
"end_to_end p50" = 0.01
[min]
captured = 1000
[max-growth]
rss = "2M/h"
[require]
memory = "dmabuf"
zero_copy = true
""")
    told = check(result, from_toml(file))
    assert [verdict.outcome.value for verdict in told] == [
        *("pass", "pass", "fail", "pass", "fail", "pass", "pass", "pass", "pass")
    ]
    for wrong, words in (
        ("min-fsp = 1", "'min-fsp' is none of"),
        ("max = 1", r"max is a table: \[max\]"),
        ("[max]\nfps = true", "True is no number"),
        ("[max]\nwhat = 1", "no figure is called 'what'"),
        ("min-fps = ", "is no TOML"),
    ):
        file.write_text(wrong)
        with pytest.raises(LimitError, match=words):
            from_toml(file)


def test_every_figure_that_is_compared_can_be_checked(result: Document) -> None:
    from v4l_dmabuf.compare.metrics import COUNTS, METRICS, VALUES  # noqa: PLC0415

    names = [it.name for it in METRICS] + [it.name for it in VALUES] + [it.name for it in COUNTS]
    for name in names:
        figure(result, name)


@dataclass
class Test:
    """A result of KTAP, by the kernel's description of it."""

    __test__ = False
    is_ok: bool
    name: str
    directive: str | None
    below: list["Test"] = field(default_factory=list)


def parse_ktap(lines: list[str], indent: str = "") -> list[Test]:
    """Parse a level of KTAP, and take its lines."""
    assert lines.pop(0) == f"{indent}KTAP version 1"
    plan = re.fullmatch(rf"{indent}1\.\.(\d+)", lines.pop(0))
    assert plan is not None
    tests: list[Test] = []
    below: list[Test] = []
    while len(tests) < int(plan[1]):
        if lines[0].startswith(f"{indent}  KTAP"):
            below = parse_ktap(lines, indent + "  ")
            continue
        line = lines.pop(0).removeprefix(indent)
        if line.startswith("# "):
            continue
        found = re.fullmatch(r"(ok|not ok) (\d+) ([^#]+?)(?: # (.*))?", line)
        assert found is not None, line
        assert int(found[2]) == len(tests) + 1
        tests.append(Test(found[1] == "ok", found[3], found[4], below))
        below = []
    return tests


LIMITS = ("--max-drops", "4", "--min-fps", "20", "--max", "socket to buffer p99=1s")


def test_ktap_says_what_the_table_says(path: Path) -> None:
    told = run(path, *LIMITS, "--ktap", "-")
    assert told.returncode == 1
    lines = told.stdout.splitlines()
    (suite,) = parse_ktap(lines)
    assert lines == []
    assert (suite.is_ok, suite.name) == (False, "result")
    ran, drops, rate, latency = suite.below
    assert (ran.is_ok, drops.is_ok, rate.is_ok, latency.is_ok) == (True, False, True, True)
    assert drops.name == "frames dropped"
    assert latency.directive is not None
    assert latency.directive.startswith("SKIP not enough data")


def test_junit_says_what_the_table_says(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    told = run(path, *LIMITS, "--junit", file)
    assert told.returncode == 1
    (suite,) = JUnitXml.fromfile(str(file))
    assert (suite.name, suite.tests, suite.failures, suite.skipped) == ("result", 4, 1, 1)
    ran, drops, rate, latency = suite
    assert ran.is_passed
    assert rate.is_passed
    assert isinstance(drops.result[0], Failure)
    assert "5 of 1003 frames" in drops.result[0].message
    assert isinstance(latency.result[0], Skipped)


def test_lava_finds_its_signals(path: Path) -> None:
    told = run(path, *LIMITS, "--lava")
    # As LAVA's dispatcher takes a test's output apart.
    signals = re.findall(r"^<LAVA_SIGNAL_TESTCASE (.*)>$", told.stdout, re.MULTILINE)
    cases = [dict(part.split("=", 1) for part in signal.split()) for signal in signals]
    assert [case["RESULT"] for case in cases] == ["pass", "fail", "pass", "skip"]
    assert cases[1] == {
        "TEST_CASE_ID": "frames-dropped",
        "RESULT": "fail",
        "MEASUREMENT": "5",
        "UNITS": "frames",
    }
    assert cases[2]["MEASUREMENT"] == "29.97"
    assert "MEASUREMENT" not in cases[3]
    assert all(re.fullmatch(r"[a-z0-9._-]+", case["TEST_CASE_ID"]) for case in cases)


def test_json_has_all_of_it(path: Path) -> None:
    told = run(path, *LIMITS, "--json", "-")
    document = json.loads(told.stdout)
    assert (document["format"], document["verdict"]) == ("v4l-dmabuf-check", "fail")
    (checked,) = document["results"]
    assert [each["verdict"] for each in checked["checks"]] == ["pass", "fail", "pass", "skip"]
    assert checked["checks"][2]["value"] == 29.97


def test_several_results_are_told_apart(path: Path, tmp_path: Path, result: Document) -> None:
    result["summary"]["fps"] = 10.0
    other = tmp_path / "slow.json"
    other.write_text(json.dumps(result))
    told = run(path, other, "--min-fps", "20", "--ktap", tmp_path / "ktap", "--lava")
    assert told.returncode == 1
    first, second = parse_ktap((tmp_path / "ktap").read_text().splitlines())
    assert (first.name, first.is_ok, second.name, second.is_ok) == ("result", True, "slow", False)
    assert "TEST_CASE_ID=slow-frame-rate RESULT=fail" in told.stdout


def test_one_standard_output_is_for_one_form(path: Path) -> None:
    for options in (("--ktap", "-", "--json", "-"), ("--ktap", "-", "--lava")):
        told = run(path, *options)
        assert told.returncode == 2
        assert "can have one form" in told.stderr
    full = subprocess.run(
        ["sh", "-c", f"{BIN}/v4l-dmabuf-check {path} > /dev/full"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode == 2
    assert "No space left" in full.stderr


def test_a_result_s_words_are_nothing_that_a_form_obeys(tmp_path: Path, result: Document) -> None:
    result |= {"outcome": "failed", "error": "\x1b[2Jok 1 run\n</testsuite> # SKIP \ud800"}
    path = tmp_path / "evil #1\n.json"
    path.write_text(json.dumps(result))
    told = run(path, "--ktap", "-", "--junit", tmp_path / "junit.xml")
    assert told.returncode == 1, told.stderr
    (suite,) = parse_ktap(told.stdout.splitlines())
    assert not suite.is_ok
    (read,) = JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    assert read.failures == 1
    assert "\x1b" not in run(path).stdout


def test_it_needs_no_more_than_the_package_does() -> None:
    code = (
        "import sys, v4l_dmabuf.commands.check; sys.exit(not {'numpy', 'matplotlib'}"
        ".isdisjoint(sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_comparison_has_the_same_forms(real: Document, tmp_path: Path) -> None:
    sides = [runs(real, 0), runs(real, 10, latency_ms=9.0)]
    a, b = (written(tmp_path, side, several) for side, several in zip("ab", sides, strict=True))
    junit = tmp_path / "junit.xml"
    told = subprocess.run(
        [BIN / "v4l-dmabuf-compare", "--a", *a, "--b", *b, "--ktap", "-", "--junit", junit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1, told.stderr
    (suite,) = parse_ktap(told.stdout.splitlines())
    by_name = {test.name: test for test in suite.below}
    assert not by_name["comparison"].is_ok
    assert not by_name["socket to buffer, median"].is_ok
    assert by_name["frame rate"].is_ok
    (read,) = JUnitXml.fromfile(str(junit))
    assert read.tests == len(suite.below)


def test_limits_are_parsed_as_they_are_written() -> None:
    for text, value, unit in (
        ("50ms", 0.05, "s"),
        (" 1.5 s", 1.5, "s"),
        ("0.1%", 0.001, "%"),
        ("2M", 2 * 2**20, "B"),
        ("1e3", 1000, ""),
    ):
        quantity = limits.Quantity.parse(text)
        assert quantity.value == pytest.approx(value)
        assert quantity.unit == unit


def test_a_result_of_other_things_than_figures_ends_in_no_fault(result: Document) -> None:
    """Whatever a file has where a figure should be, it is a skip."""
    for wrong in ("text", [1], {"a": 1}, True, None):
        summary = dict.fromkeys(result["summary"], wrong)
        document = result | {"summary": summary, "cpu_seconds": wrong, "resources": wrong}
        for option in ("frame rate", "frames dropped", "capture to buffer p99"):
            _, verdict = check(document, limits.at_most(f"{option}=1"))
            assert verdict.outcome.value == "skip", f"{option} of {wrong!r}"
        _, verdict = check(document, limits.grows("rss=1/h"))
        assert verdict.outcome.value == "skip"
