"""The command `v4l-dmabuf-probe`: what works here, as a table or as JSON.

Exit status: 0 something works with each device that was asked for; 1 not so; 2 usage;
130 interrupted.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

from v4l_dmabuf import _core
from v4l_dmabuf.commands.display import claim_standard_streams, log_to_stderr, print_text
from v4l_dmabuf.errors import Error, NotACaptureDeviceError
from v4l_dmabuf.probe import CardProbe, DeviceProbe, MemoryProbe, cards, devices, probe
from v4l_dmabuf.text import escaped

_LOGGER = logging.getLogger("v4l_dmabuf")
_PROGRAM = "v4l-dmabuf-probe"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Try what a V4L2 device can capture into, or show frames from, with real "
        "buffers of a real size; and which DRM cards import a heap's DMABUFs.",
        epilog="Exit status: 0 something works, 1 nothing does, 2 usage, 130 interrupted.",
    )
    parser.add_argument("device", nargs="?", help="V4L2 device (default: all)")
    parser.add_argument("-W", "--width", type=int, default=1920, metavar="PIXELS")
    parser.add_argument("-H", "--height", type=int, default=1080, metavar="PIXELS")
    parser.add_argument(
        "-f", "--format", metavar="FOURCC", help="pixel format (default: YUYV, or the first)"
    )
    parser.add_argument(
        "--loop",
        metavar="OUTPUT",
        help="output device whose frames come back at DEVICE: try whether it reads what the CPU "
        "writes",
    )
    parser.add_argument("--cards", action="store_true", help="try the DRM cards alone")
    parser.add_argument("--json", action="store_true", help="print JSON rather than a table")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what is tried")
    parser.add_argument("--version", action="version", version=_core.__version__)
    return parser


def probe_main(arguments: Sequence[str] | None = None) -> int:
    """Run `v4l-dmabuf-probe`; the result is its exit status."""
    claim_standard_streams()
    parser = _parser()
    options = parser.parse_args(arguments)
    log_to_stderr(_PROGRAM, logging.DEBUG if options.verbose else logging.ERROR)
    if options.cards and options.device:
        parser.error("--cards is of no one device")
    if options.loop and not options.device:
        parser.error("--loop is of one device: name it")
    try:
        probes, errors = ([], []) if options.cards else _probe_all(options)
        # A program that reads the devices' JSON finds devices in it, and nothing else.
        with_cards = options.cards or not (options.device or options.json)
        displays = cards() if with_cards else []
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130
    for failure in errors:
        _LOGGER.error("%s", failure)
    if options.cards and not displays:
        _LOGGER.error("this machine has no DRM card (/dev/dri/card*), or no heap of DMABUFs")
    if not (probes or errors or options.cards):
        _LOGGER.error("this machine has no V4L2 device that captures or shows frames")
    if options.json:
        probed_all = displays if options.cards else probes
        text = json.dumps([asdict(probed) for probed in probed_all], indent=2) + "\n"
    else:
        tables = [*map(_table, probes), *([_card_table(displays)] if displays else [])]
        text = "\n".join("".join(f"{escaped(line)}\n" for line in table) for table in tables)
    try:
        print_text(text)
    except OSError as error:
        # Who closes a pipe has seen enough.
        if not isinstance(error.__cause__, BrokenPipeError):
            _LOGGER.error("%s", error)  # noqa: TRY400 -- one line for one error
        return 1
    if options.cards:
        return 0 if any(card.imports for card in displays) else 1
    works = all(any(memory.works for memory in probed.memories) for probed in probes)
    return 0 if probes and works and not errors else 1


def _probe_all(options: argparse.Namespace) -> tuple[list[DeviceProbe], list[Error]]:
    probes: list[DeviceProbe] = []
    errors: list[Error] = []
    for device in [options.device] if options.device else devices():
        try:
            probed = probe(
                device,
                width=options.width,
                height=options.height,
                format=options.format,
                loop=options.loop,
                # A codec that nobody asked for is none of ours.
                m2m=options.device is not None,
            )
            probes.append(probed)
        except Error as error:
            # Nor is a metadata node.
            if options.device or not isinstance(error, NotACaptureDeviceError):
                errors.append(error)
    return probes, errors


def _table(probed: DeviceProbe) -> list[str]:
    lines = [
        f"{probed.device}: {probed.card} ({probed.driver}, {probed.bus})",
        f"  offers {', '.join(probed.formats)}",
    ]
    working = [memory for memory in probed.memories if memory.works]
    if working:
        one = working[0]
        size = f"{one.width}x{one.height} {probed.format}, {one.sizeimage} bytes a frame"
        lines.append(f"  tried with {size}")
    columns = _COLUMNS[probed.direction]
    if not any(memory.device_reads for memory in probed.memories):
        columns = {head: cell for head, cell in columns.items() if head != _READS}
    rows = [tuple(columns)]
    rows += [tuple(cell(memory) for cell in columns.values()) for memory in probed.memories]
    lines += ["", *_columns(rows)]
    notes = [note for memory in probed.memories for note in _notes(memory)]
    return [*lines, *([""] if notes else []), *notes]


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(f"  {'  '.join(cells).rstrip()}")
    return lines


def _card_table(probes: Sequence[CardProbe]) -> list[str]:
    heaps = list(dict.fromkeys(card.heap for card in probes))
    names = {card.card: f"{card.card} ({card.driver or 'unknown'})" for card in probes}
    took = {
        (card.card, card.heap): "yes" if card.imports else card.errno or "no" for card in probes
    }
    rows = [("imports DMABUFs of", *heaps)]
    rows += [(name, *(took[card, heap] for heap in heaps)) for card, name in names.items()]
    notes = dict.fromkeys(f"  {card.reason}" for card in probes if card.reason)
    return ["DRM cards", "", *_columns(rows), *([""] if notes else []), *notes]


def _works(memory: MemoryProbe) -> str:
    return "yes" if memory.works else "no"


def _without_a_copy(memory: MemoryProbe) -> str:
    return "" if memory.zero_copy is None else "yes" if memory.zero_copy else "no"


def _read(memory: MemoryProbe) -> str:
    read = memory.read_bytes_per_second
    return "" if read is None else f"{read / 1e6:.0f} MB/s"


_Columns = dict[str, Callable[[MemoryProbe], str]]
_READS = "device reads"
_MEMORY: _Columns = {"memory": lambda memory: memory.memory, "works": _works}
_WRITTEN: _Columns = {"device writes": lambda memory: memory.device_writes or ""}
_READ: _Columns = {_READS: lambda memory: memory.device_reads or ""}
_CAPTURED: _Columns = {
    "no copy": _without_a_copy,
    "timestamps": lambda memory: memory.clock or "",
    "CPU reads": _read,
}
_COLUMNS: dict[str, _Columns] = {
    "capture": _MEMORY | _CAPTURED | _WRITTEN | _READ,
    "output": {"shown from": lambda memory: memory.memory, "works": _works} | _READ,
    "m2m": _MEMORY | _WRITTEN | _READ,
}


def _notes(memory: MemoryProbe) -> list[str]:
    notes = []
    if memory.reason:
        notes.append(f"  {memory.memory}: {memory.reason}")
    if memory.error_frames:
        flagged = f"the driver flags {memory.error_frames} of {memory.frames} frames as corrupt"
        notes.append(f"  {memory.memory}: {flagged}")
    if memory.clock_reason:
        notes.append(f"  {memory.memory}: timestamps are of no known clock: {memory.clock_reason}")
    found = [
        ("what the device writes", memory.device_writes, memory.device_writes_reason),
        ("what the device reads", memory.device_reads, memory.device_reads_reason),
    ]
    for what, verdict, reason in found:
        if reason:
            advice = "take another heap (-e), or see" if verdict == "lies" else "see"
            finds = f"{advice} by --verify on the sender whether frames are torn"
            notes.append(f"  {memory.memory}: {what}: {reason}; {finds}")
    return notes


if __name__ == "__main__":
    sys.exit(probe_main())
