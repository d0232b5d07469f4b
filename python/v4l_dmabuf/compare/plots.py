"""The pictures that a person looks at first, as SVG."""

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from v4l_dmabuf.compare.comparison import Comparison
from v4l_dmabuf.compare.markdown import Names
from v4l_dmabuf.compare.runs import Floats, Run

_COLORS = ("#0b6bcb", "#d1480f")
_SIZE = (9.0, 3.6)
_STAGES = {
    "end_to_end": "from capture to the receiver's buffer",
    "transfer": "from the socket to the receiver's buffer",
    "acknowledged": "until acknowledged",
    "into_buffer": "into the receiver's buffer",
    "into_socket": "into the socket",
}


def pictures(comparison: Comparison, names: Names) -> list[tuple[str, str]]:
    """Draw what the runs have: a title and an SVG each."""
    sides = (comparison.a, comparison.b)
    drawn = []
    stage = next((name for name in _STAGES if _all_have(name, sides)), None)
    if stage is not None:
        words = _STAGES[stage]
        drawn += [
            (f"Latency {words}: how it is distributed", _distribution(stage, sides, names)),
            (f"Latency {words}, along the runs", _along(stage, sides, names)),
        ]
    drawn.append(("Frames that are missing, along the runs", _drops(sides, names)))
    return drawn


def _all_have(stage: str, sides: tuple[Sequence[Run], Sequence[Run]]) -> bool:
    return all(len(run.samples(stage)) for side in sides for run in side)


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    # Text stays text, and the same figures give the same bytes.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "v4l-dmabuf"}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", bbox_inches="tight", metadata=nothing)
    whole = text.getvalue()
    return whole[whole.index("<svg") :]


def _axes(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE)
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _plain_numbers(axis: Axis) -> None:
    """Write 20 rather than 2 x 10^1."""
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("{x:g}")


def _distribution(stage: str, sides: tuple[Sequence[Run], Sequence[Run]], names: Names) -> str:
    """Draw the share of frames below each latency: a thin line a run, a thick one a side."""
    figure, axes = _axes("ms", "share of frames below")
    for side, name, color in zip(sides, names, _COLORS, strict=True):
        for run in side:
            _share_below(axes, run.samples(stage) * 1e3, color, width=0.7, alpha=0.35)
        whole = np.concatenate([run.samples(stage) for run in side]) * 1e3
        _share_below(axes, whole, color, width=2.2, alpha=1.0, label=name)
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis)
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, loc="lower right")
    return _svg(figure)


def _share_below(
    axes: Axes, values: Floats, color: str, *, width: float, alpha: float, label: str = ""
) -> None:
    ordered = np.sort(values[values > 0])
    shares = np.arange(1, len(ordered) + 1) / max(1, len(ordered))
    axes.step(
        ordered,
        shares,
        where="post",
        color=color,
        linewidth=width,
        alpha=alpha,
        label=label or None,
    )


def _along(stage: str, sides: tuple[Sequence[Run], Sequence[Run]], names: Names) -> str:
    """Draw each frame's latency at its time in the run."""
    figure, axes = _axes("seconds from the run's first frame", "ms")
    for side, name, color in zip(sides, names, _COLORS, strict=True):
        for number, run in enumerate(side):
            at, values = _pairs(run, stage)
            axes.plot(
                at,
                values * 1e3,
                ".",
                color=color,
                markersize=2.5,
                alpha=0.5,
                label=name if number == 0 else None,
            )
    axes.set_yscale("log")
    _plain_numbers(axes.yaxis)
    axes.legend(frameon=False, markerscale=4)
    return _svg(figure)


def _pairs(run: Run, stage: str) -> tuple[Floats, Floats]:
    samples = run.document["samples"]
    known = [
        (at, value)
        for at, value in zip(samples["at"], samples[stage], strict=True)
        if at is not None and value
    ]
    pairs = np.array(known, dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _drops(sides: tuple[Sequence[Run], Sequence[Run]], names: Names) -> str:
    """Draw how many frames each interval misses: by the driver, and by the sender."""
    figure, axes = _axes("seconds from the run's first frame", "frames missing")
    for side, name, color in zip(sides, names, _COLORS, strict=True):
        for number, run in enumerate(side):
            series = run.document["series"]
            missing = np.array(series["drops"]) + np.array(series["sender_drops"])
            edges = np.arange(len(missing) + 1) * series["seconds"]
            axes.stairs(
                missing,
                edges,
                color=color,
                alpha=0.6,
                linewidth=1.4,
                label=name if number == 0 else None,
            )
    axes.set_ylim(0, max(1.0, axes.get_ylim()[1]))
    axes.legend(frameon=False)
    return _svg(figure)
