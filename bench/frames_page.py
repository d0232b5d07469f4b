"""The figures of frames in Python, as JSON and for people."""

import json

from guests.guest import CHECKOUT


def write(told: dict[str, object]) -> None:
    """Leave the figures as JSON and Markdown."""
    folder = CHECKOUT / "bench"
    (folder / "frames.json").write_text(json.dumps(told, indent=1) + "\n")
    (folder / "frames.md").write_text(page(told))


def page(told: dict[str, object]) -> str:
    """Write the figures for people."""
    figures, rates = told["figures"], told["rates"]
    assert isinstance(figures, list)
    assert isinstance(rates, dict)
    lines = [
        "# Frames in Python",
        "",
        "`make bench-python` writes this page. Both ends are in one process, over loopback; the",
        "ratios are medians, with the least and the most.",
        "",
        "| figure | at least | median | least | most | frames a second |",
        "|---|---|---|---|---|---|",
    ]
    for one in figures:
        fps = rates.get(one["name"])
        told_rate = f"{fps:,.0f}" if fps else ""
        lines.append(
            f"| {one['name']} | {one['wanted']} | {one['value']:.3f} | {one['least']:.3f} | "
            f"{one['most']:.3f} | {told_rate} |"
        )
    left = told["left_behind"]
    assert isinstance(left, list)
    first, last = left[0], left[-1]
    lines += [
        "",
        f"Over 200,000 frames, with views held at random, from the first tenth to the end: "
        f"{first[0]} and {last[0]} descriptors, {first[1]} and {last[1]} threads, {first[2]} and "
        f"{last[2]} mappings, {first[3]:,} and {last[3]:,} KiB resident.",
    ]
    counts = told["copied"]
    assert isinstance(counts, dict)
    if None not in counts.values():
        words = " and ".join(f"{count:,.0f} at {size}" for size, count in counts.items())
        lines += [
            "",
            "Instructions a frame in functions that copy or fill memory, from the frame's receipt "
            f"to its array, by callgrind: {words}. A copy of a 1080p frame takes 64,800 at least, "
            "at 64 bytes each.",
        ]
    devices = told.get("devices")
    if isinstance(devices, dict):
        lines += [
            "",
            "vivid at 1280x720, asked for 60 frames a second, in an emulated guest:",
            "",
            "| program | frames a second | CPU a frame | its array is |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {name} | {it['frames_per_second']:.1f} | "
            f"{1000 * it['cpu_seconds_per_frame']:.2f} ms | "
            f"{'the buffer' if it['is_the_buffer'] else 'a copy'} |"
            for name, it in devices.items()
        ]
    return "\n".join(lines) + "\n"
