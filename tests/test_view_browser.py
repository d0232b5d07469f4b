"""The page in a browser: what it draws, and what it says of the run's end."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chromium import Chromium
from comparing import Document, real
from support import BIN, free_port, receiver_command
from view_support import FORMATS, HEIGHT, WIDTH, Shown, picture, shown

__all__ = ["real"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as chromium:
        yield chromium


CANVAS = """(() => {
  const canvas = document.getElementById("picture");
  const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return [window.view.counter, canvas.width, canvas.height, Array.from(image)];
})()"""


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_the_page_draws_the_frame(browser: Chromium, port: int, pixel_format: str) -> None:
    browser.console.clear()
    with shown(port, format=pixel_format) as page:
        browser.open(page.url)
        browser.wait_for("window.view && window.view.drawn > 3")
        number, width, height, pixels = browser.evaluate(CANVAS)
        assert (width, height) == (WIDTH, HEIGHT)
        drawn = [tuple(pixels[at : at + 3]) for at in range(0, len(pixels), 4)]
        assert drawn == picture(pixel_format, number)
    assert browser.console == []


def test_the_page_pauses_and_keeps_the_final_figures(browser: Chromium, port: int) -> None:
    browser.console.clear()
    with shown(port, frames=400) as page:
        browser.open(page.url)
        browser.wait_for("window.view && window.view.drawn > 3")
        browser.press(" ")
        browser.wait_for("document.getElementById('state').textContent === 'paused'")
        time.sleep(0.3)
        stands = browser.evaluate("window.view.counter")
        time.sleep(0.5)
        assert browser.evaluate("window.view.counter") == stands
        browser.press(" ")
        browser.wait_for(f"window.view.counter > {stands}")
        browser.wait_for("window.view.ended")
    assert page.report is not None
    assert browser.evaluate("window.view.figures.report.frames") == page.report.frames == 400
    assert "final figures" in browser.evaluate("document.getElementById('state').textContent")
    assert browser.evaluate("document.getElementById('picture').hidden") is False
    assert browser.console == []


def test_a_page_whose_command_is_gone_says_so(browser: Chromium, port: int) -> None:
    page = Shown(free_port())
    with receiver_command(port, "--view", page.port) as end:
        browser.open(page.url)
        browser.wait_for("window.view && window.view.figures")
        end.process.kill()
        browser.wait_for("document.getElementById('state').textContent.startsWith('gone')")


def test_the_comparison_s_page_has_no_error(
    browser: Chromium, real: Document, tmp_path: Path
) -> None:
    path = tmp_path / "compared.html"
    results = []
    for side in "ab":
        for number in range(3):
            results.append(tmp_path / f"{side}{number}.json")
            results[-1].write_text(json.dumps(real))
    sides = ("--a", *results[:3], "--b", *results[3:])
    command = [str(it) for it in (BIN / "v4l-dmabuf-compare", *sides, "--html", path)]
    compared = subprocess.run(command, check=False, capture_output=True, text=True)
    assert path.exists(), compared.stderr
    browser.console.clear()
    browser.open(path.as_uri())
    pictures = "document.querySelectorAll('img, svg').length"
    browser.wait_for(f"document.readyState === 'complete' && {pictures} > 0")
    broken = "Array.from(document.images).filter((it) => !it.naturalWidth).length"
    assert browser.evaluate(broken) == 0, "a picture is not shown"
    assert browser.evaluate("document.querySelectorAll('table').length") > 0
    assert browser.console == []
