"""A comparison as one HTML page that needs nothing beside it."""

from collections.abc import Iterable
from html import escape
from importlib import resources
from string import Template

from v4l_dmabuf.compare.comparability import Difference
from v4l_dmabuf.compare.comparison import Comparison, Row
from v4l_dmabuf.compare.markdown import (
    Names,
    cells,
    conclusion,
    figure,
    interval,
    plain,
    shortcomings,
)
from v4l_dmabuf.compare.plots import pictures


def page(comparison: Comparison, names: Names) -> str:
    """Make it."""
    parts = [
        *(_listed(title, lines) for title, lines in shortcomings(comparison)),
        _differences("What has to be the same and is not", comparison.mismatches, names),
        *(
            f"<h2>{escape(title)}</h2>\n{_titled(svg, title)}"
            for title, svg in pictures(comparison, names)
        ),
        _rows(comparison.rows, names),
        _differences("What else differs, and may explain it", comparison.explanations, names),
        _runs(comparison, names),
    ]
    template = resources.files("v4l_dmabuf.compare").joinpath("page.html").read_text("utf-8")
    return Template(template).substitute(
        title=escape(f"{names[1]} against {names[0]}"),
        kind=_kind(comparison.verdict),
        verdict=escape(comparison.verdict),
        conclusion=escape(conclusion(comparison, names)),
        body="\n".join(part for part in parts if part),
    )


def _titled(svg: str, title: str) -> str:
    """Name a picture for those who don't see it."""
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)


def _kind(verdict: str) -> str:
    return verdict if verdict in {"better", "worse", "same"} else "open"


def _listed(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _rows(rows: Iterable[Row], names: Names) -> str:
    lines = []
    for row in rows:
        numbers = (figure(row.a), figure(row.b), figure(row.b - row.a), interval(row))
        cells = "".join(f'<td class="number">{escape(text)}</td>' for text in numbers)
        note = f'<br><span class="note">{escape(row.note)}</span>' if row.note else ""
        lines.append(
            f"<tr><td>{escape(row.name)}, {escape(row.unit)}</td>{cells}"
            f'<td><span class="verdict {_kind(row.verdict)}">{row.verdict}</span>{note}</td></tr>'
        )
    heads = ("figure", *names, "difference", "98 % interval, of all together", "verdict")
    return f"<h2>Figures</h2>{_table(heads, lines)}"


def _differences(title: str, differences: Iterable[Difference], names: Names) -> str:
    lines = []
    for each in differences:
        row = (plain(each.name), *cells(each))
        lines.append(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>")
    return f"<h2>{escape(title)}</h2>{_table(('', *names), lines)}" if lines else ""


def _runs(comparison: Comparison, names: Names) -> str:
    lines = [
        f"<tr><td>{escape(name)}</td><td>{escape(plain(run.path.name))}</td>"
        f"<td>{escape(plain(run.document['began']))}</td>"
        f'<td class="number">{run.summary["frames"]}</td></tr>'
        for name, side in zip(names, (comparison.a, comparison.b), strict=True)
        for run in side
    ]
    return f"<h2>Runs</h2>{_table(('side', 'result', 'began', 'frames'), lines)}"
