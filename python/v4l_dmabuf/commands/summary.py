"""What a run came to: the verdict, what was sent or received, the balance, and the times."""

import textwrap
from collections.abc import Iterable, Sequence

from v4l_dmabuf.report import STAGES, Report

WIDTH = 80
_LABEL = 9
"""Columns of what stands before each line."""

_MEMORY = {"mmap": "the driver's own (mmap)", "memfd": "memfd (plain memory, no DMABUF)"}


def units(report: Report) -> tuple[str, str]:
    """Say what comes, and how its rate is called."""
    return ("fields", "fields a second") if report.field == "alternate" else ("frames", "fps")


def describe_drops(report: Report) -> str:
    """Say how many frames are missing, and where they went as far as is known."""
    unknown = "drops unknown (unusable sequence numbers)"
    if report.sender_drops is None:
        return unknown if report.drops is None else f"{report.drops} missing on arrival"
    drops = _driver_drops(report)
    told = unknown if drops is None else f"{drops} dropped by the driver"
    return f"{told}, {report.sender_drops} by the sender"


def summary(report: Report, verb: str, verdict: str) -> list[str]:
    """Describe a run that has ended, in lines of 80 columns at most."""
    if report.stream_unknown:
        return [f"{verdict}: nothing {verb}"]
    lines = [
        *_line(verdict, _what(report, verb)),
        "",
        *_line("stream", _stream(report)),
        *_line("memory", _buffers(report)),
        *_line("sending", _copying(report)),
        *_line("device", _device(report)),
        *_line("unixfd", _clients(report)),
        "",
        *_balance(report),
        *_line("verified", _verified(report)),
        "",
        *_times(report),
        *_unknown(report),
    ]
    # A part that has nothing to tell leaves no gap.
    return [line for line, next_ in zip(lines, [*lines[1:], ""], strict=True) if line or next_]


def _line(label: str, text: str) -> list[str]:
    """Give a text behind its label, wrapped behind the same column."""
    if not text:
        return []
    indent = " " * (_LABEL + 1)
    first = label.ljust(_LABEL) + " "
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    )


def _what(report: Report, verb: str) -> str:
    frames, a_second = units(report)
    told = f"{verb} {report.frames} {frames}, {report.bytes} bytes"
    if report.fps is None:
        return told
    rate = f"{report.fps:.2f} {a_second}, {report.megabytes_per_second:.1f} MB/s"
    return f"{told} in {report.seconds:.2f} s: {rate}"


def _stream(report: Report) -> str:
    planes = f" in {report.planes} planes" if report.planes != 1 else ""
    frame = units(report)[0].removesuffix("s")
    size = f"{report.width}x{report.height} {report.format}"
    return f"{size}, {report.sizeimage} bytes a {frame}{planes}, wire version {report.protocol}"


def _buffers(report: Report) -> str:
    memory = _MEMORY.get(report.memory or "", f"DMABUFs from {report.heap}")
    return f"{report.buffers} buffers: {memory}"


def _copying(report: Report) -> str:
    if report.zero_copy is None:
        return ""
    how = "without a copy" if report.zero_copy else "by copying"
    waits = [
        (report.fallback_frames, "frames fell back"),
        (report.waits_for_network, "waits for the network"),
        (report.waits_for_completion, "waits for completions"),
    ]
    return "; ".join([f"{how}: {report.zero_copy_reason}", *_some(waits)])


def _device(report: Report) -> str:
    if report.device_memory is None:
        return ""
    if report.device_memory == "dmabuf":
        return "from the buffers that frames came in, without a copy"
    return f"copied into the driver's own buffers: {report.device_memory_reason}"


def _clients(report: Report) -> str:
    if report.unixfd_clients is None:
        return ""
    count = report.unixfd_clients
    return f"{count} client{'s' * (count != 1)} of the socket"


def _driver_drops(report: Report) -> int | None:
    return report.drops if report.sender_bursts is not None else report.driver_drops


def _balance(report: Report) -> list[str]:
    """Give where the frames went, as sums that the eye can check."""
    rows: list[tuple[str, int | None, str]] = []
    if report.captured is not None and report.sent is not None:
        parts = [
            (report.sent, "sent"),
            (report.sender_drops, "dropped by the sender"),
            (report.left_over, "left over"),
        ]
        rows.append(("captured", report.captured, _sum(parts)))
    if report.sent is not None and report.received is not None:
        parts = [
            (report.received, "received"),
            (report.lost, "lost in transit"),
            (report.receiver_drops, "not wanted"),
        ]
        rows.append(("sent", report.sent, _sum(parts)))
    if report.device_shown is not None:
        parts = [
            (report.device_shown, "shown"),
            (report.device_drops, "dropped by the device"),
            (report.device_errors, "in error"),
            (report.device_left, "left on it"),
        ]
        rows.append(("received", report.frames, _sum(parts)))
    if report.unixfd_given is not None:
        parts = [
            (report.unixfd_given, "given to clients"),
            (report.unixfd_drops, "that they had no room for"),
            (report.unixfd_unclaimed, "with no client there"),
        ]
        rows.append(("received", report.frames, _sum(parts)))
    driver = _driver_drops(report)
    if report.sender_drops is None:
        rows.append(("missing", report.drops, "on arrival"))
    else:
        rows.append(("dropped", driver, "by the driver"))
    flags = f"flagged in error, {report.incomplete_frames} incomplete{_bursts(report)}"
    rows.append(("faulty", report.error_frames, flags))
    width = max(len(str(count)) for _, count, _ in rows)
    lines: list[str] = []
    for label, count, text in rows:
        if count is not None:
            lines += _line(label, f"{count}".rjust(width).replace(" ", "\u2007") + f" {text}")
    return [line.replace("\u2007", " ") for line in lines]


def _sum(parts: Sequence[tuple[int | None, str]]) -> str:
    (first, name), *others = parts
    return " + ".join(
        [f"= {first} {name}", *(f"{count} {what}" for count, what in others if count)]
    )


def _some(counts: Iterable[tuple[int | None, str]]) -> list[str]:
    """Say those counts that are known and not 0."""
    return [f"{count} {what}" for count, what in counts if count]


def _bursts(report: Report) -> str:
    # What the driver and the sender drop may be in a row.
    bursts = report.missing_bursts
    longest = max(report.sender_bursts or {} if bursts is None else bursts, default=0)
    return f", at most {longest} in a row missing" if longest > 1 else ""


def _verified(report: Report) -> str:
    if report.verified_frames is None:
        return ""
    counts = [
        (report.spoiled, "arrived spoiled"),
        (report.unwritten, "not written by the driver, or not whole"),
        (report.zero_frames, "all zero"),
        (report.repeated_frames, "the same as the one before"),
    ]
    # Older senders don't tell of frames that were not written.
    sound = "all as they were sent" if report.unwritten is None else "all sound"
    cpu = report.verify_cpu_seconds or 0.0
    found = ", ".join(_some(counts)) or sound
    return f"{report.verified_frames} frames in {cpu:.2f} s of CPU: {found}"


def _times(report: Report) -> list[str]:
    """Give how long the stages took, as a table in milliseconds."""
    rows = [
        (
            words,
            *(
                _ms(it)
                for it in (times.percentiles["p50"], times.percentiles.get("p99"), times.most)
            ),
        )
        for stage, words in STAGES.items()
        if (times := report.stages.get(stage)) is not None and "p50" in times.percentiles
    ]
    if not rows:
        return []
    table = [("milliseconds", "median", "99 %", "longest"), *rows]
    width = max(len(row[0]) for row in table)
    return [
        f"{name.ljust(width)} {median:>10} {most_of_them:>10} {longest:>10}"
        for name, median, most_of_them, longest in table
    ]


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    milliseconds = seconds * 1e3
    return f"{milliseconds:.3f}" if milliseconds < 1e5 else f"{milliseconds:.0f}"


def _unknown(report: Report) -> list[str]:
    """Say what is not known, and why; and how well the clocks are."""
    lines: list[str] = []
    if report.offset_bound is not None:
        lines += _line(
            "clocks", f"compared to within {_ms(report.offset_bound)} ms{_too_far(report)}"
        )
    if _driver_drops(report) is None and (report.sender_drops is not None or report.drops is None):
        lines += _line("unknown", "what the driver dropped: its sequence numbers can't tell")
    if report.clock_reason is not None:
        lines += _line("unknown", f"the age of a frame: timestamps: {report.clock_reason}")
    if report.offset_reason is not None:
        lines += _line("unknown", f"times from side to side: {report.offset_reason}")
    return lines


def _too_far(report: Report) -> str:
    transfer = report.stages.get("transfer")
    if transfer is None or report.offset_bound is None or transfer.mean >= report.offset_bound:
        return ""
    return ", which is more than the transfer took: it is not known"
