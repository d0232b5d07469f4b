"""The command `v4l-dmabuf-lab`.

Exit status: 0 all runs are done and keep to the limits, and B is not worse; 1 a run failed, one
does not keep to a limit, or B is worse; 2 usage, or what can't be had or written; 3 a check or the
comparison could not be told; 70 a fault of its own; 130 interrupted.
"""

import argparse
import logging
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from v4l_dmabuf import _core
from v4l_dmabuf.check import check
from v4l_dmabuf.commands.display import Display, claim_standard_streams, log_to_stderr
from v4l_dmabuf.commands.forms import UNUSABLE, Forms, failed, guarded, need, write_text
from v4l_dmabuf.commands.limits import add_limits, as_json, table
from v4l_dmabuf.lab import Host, HostError, Side, Stream, Transfer, rounds
from v4l_dmabuf.lab.targets import targets
from v4l_dmabuf.reading import ResultError, read_result
from v4l_dmabuf.verdicts import Outcome, Suite, Verdict, status

_PROGRAM = "v4l-dmabuf-lab"
_FORMAT_VERSION = 1
_NEEDS = ("labgrid", "numpy", "matplotlib")
_LOGGER = logging.getLogger("v4l_dmabuf")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        usage="%(prog)s ENVIRONMENT --a TARGET [--b TARGET] [--receiver TARGET] [options] "
        "-- [sender options]",
        description="Run streams between the targets of a labgrid environment, A and B in turn; "
        "fetch the results, check them against limits, and compare B with A.",
        epilog="What follows '--' are options of v4l-dmabuf-sender. Without --receiver each "
        "target receives its own stream, over loopback. Exit status: 0 pass, 1 a run, a limit or "
        "B failed, 3 something could not be told, 2 usage or what can't be had, 130 interrupted.",
    )
    parser.add_argument("environment", metavar="ENVIRONMENT", help="labgrid environment file")
    parser.add_argument("--a", required=True, metavar="TARGET", help="target that sends")
    parser.add_argument("--b", metavar="TARGET", help="target to compare with A")
    parser.add_argument("--receiver", metavar="TARGET", help="target that receives")
    parser.add_argument("-n", "--runs", type=_runs, default=5, help="runs of each (default: 5)")
    parser.add_argument(
        "--warm-up",
        type=int,
        default=0,
        metavar="RUNS",
        help="runs of each that don't count first",
    )
    parser.add_argument(
        "--wheel",
        type=_wheel,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="the package, for targets that have none: wheels of their architectures",
    )
    parser.add_argument(
        "--bin", metavar="FOLDER", help="where the commands are on the targets (default: PATH)"
    )
    parser.add_argument("--address", help="the receiver's, as A and B reach it")
    parser.add_argument("-p", "--port", type=int, default=9000)
    for flag, told in (
        ("--a-options", "more options of the sender on A: --a-options='--label host=alpha'"),
        ("--b-options", "more options of the sender on B"),
        ("--receiver-options", "options of v4l-dmabuf-receiver: --receiver-options='-e memfd'"),
    ):
        parser.add_argument(flag, type=_words, default=[], metavar="OPTIONS", help=told)
    parser.add_argument(
        "--patience",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="a run that takes longer has failed (default: 600)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("lab-results"),
        metavar="FOLDER",
        help="for the results (default: lab-results)",
    )
    add_limits(parser)
    Forms.add_to(parser)
    parser.add_argument("--version", action="version", version=_core.__version__)
    return parser


def _wheel(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no {text}")
    return Path(text)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error


def _runs(text: str) -> int:
    runs = int(text)
    if runs < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return runs


@dataclass
class _Done:
    """What became of the runs."""

    runs: list[tuple[Side, int, Transfer]]

    def results(self, side: Side) -> list[Path]:
        """Give the sender's results of a side."""
        return [it.sent.result for of, _, it in self.runs if of is side and it.sent.result]


def lab_main(arguments: Sequence[str] | None = None) -> int:
    """Run `v4l-dmabuf-lab`; the result is its exit status."""
    return guarded(_PROGRAM, lambda: _main(sys.argv[1:] if arguments is None else arguments))


def _main(arguments: Sequence[str]) -> int:
    claim_standard_streams()
    own, sender_options = list(arguments), []
    if "--" in own:
        at = own.index("--")
        own, sender_options = own[:at], own[at + 1 :]
    parser = _parser()
    options = parser.parse_args(own)
    forms = Forms(parser, options)
    if options.b == options.a:
        parser.error("A and B are the same target: give --a alone")
    need(parser, _NEEDS, "lab")
    display = log_to_stderr(_PROGRAM, logging.INFO)
    _end_by_signals()
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot make the folder {options.output}: {error.strerror}") from error
    try:
        with _hosts(options) as hosts:
            sides = _sides(options, sender_options, hosts)
            done = _run(options, sides, display)
    except HostError as error:
        return failed(_PROGRAM, str(error), UNUSABLE)
    finally:
        display.clear()
        display.end()
    return _judge(options, sides, done, forms)


def _end_by_signals() -> None:
    """Have what ends programs be an interrupt: nothing is to run on at the targets."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)


@contextmanager
def _hosts(options: argparse.Namespace) -> Iterator[dict[str, Host]]:
    """Connect to the targets, and bring them what they need."""
    names = list(dict.fromkeys(filter(None, [options.a, options.b, options.receiver])))
    with ExitStack() as stack:
        _LOGGER.info("connecting to %s", ", ".join(names))
        hosts = stack.enter_context(targets(Path(options.environment), names))
        for host in hosts.values():
            stack.callback(_close, host)
            version = host.prepare(options.wheel, options.bin)
            _LOGGER.info("%s: v4l-dmabuf %s", host.name, version)
        yield hosts


def _close(host: Host) -> None:
    try:
        host.close()
    except HostError as error:
        _LOGGER.warning("%s", error)


def _sides(
    options: argparse.Namespace, sender_options: Sequence[str], hosts: dict[str, Host]
) -> list[Side]:
    sides = []
    own = ((options.a, options.a_options), (options.b, options.b_options))
    for name, more in own:
        if name is None:
            continue
        sender = hosts[name]
        receiver = hosts[options.receiver] if options.receiver else sender
        address = "127.0.0.1" if receiver is sender else receiver.address
        stream = Stream(
            sender,
            receiver,
            options.address or address,
            options.port,
            [*sender_options, *more],
            options.receiver_options,
            options.patience,
        )
        sides.append(Side(name, stream))
    return sides


def _run(options: argparse.Namespace, sides: Sequence[Side], display: Display) -> _Done:
    """Run the streams, and say how they go."""

    def tell(side: Side, number: int, line: str) -> None:
        told = line.removeprefix("v4l-dmabuf-sender: ")
        display.show(f"{_place(side, number, options.runs)}: {told}")

    done = _Done([])
    made = rounds(sides, options.runs, options.output, warm_up=options.warm_up, tell=tell)
    for side, number, transfer in made:
        _LOGGER.log(
            logging.ERROR if transfer.why else logging.INFO,
            "%s: %s",
            _place(side, number, options.runs),
            transfer.why or _told(transfer),
        )
        if number > 0:
            done.runs.append((side, number, transfer))
    return done


def _place(side: Side, number: int, runs: int) -> str:
    return f"{side.name} {number}/{runs}" if number > 0 else f"{side.name} warm-up"


def _told(transfer: Transfer) -> str:
    if transfer.sent.result is None:
        return "done, without a result"
    try:
        summary = read_result(transfer.sent.result)["summary"]
        return f"{summary['frames']} frames, {summary['fps'] or 0:.2f} fps"
    except (ResultError, KeyError, TypeError) as error:
        return f"its result can't be read: {error}"


def _judge(options: argparse.Namespace, sides: Sequence[Side], done: _Done, forms: Forms) -> int:
    runs = sorted(done.runs, key=lambda run: (sides.index(run[0]), run[1]))
    suites = [_checked(side, number, it, options.limits) for side, number, it in runs]
    found, (compared, document, conclusion) = status(suites), (0, None, "")
    told = suites
    if len(sides) == 2 and all(done.results(side) for side in sides):
        compared, document, conclusion, suite = _compare(options, sides, done)
        told = [*suites, suite]
    forms.write(
        told,
        _PROGRAM,
        table(suites) + conclusion,
        lambda: {
            "format": _PROGRAM,
            "format_version": _FORMAT_VERSION,
            "verdict": {0: "pass", 1: "fail", 3: "skip"}[_worst(found, compared)],
            "results": as_json(suites),
            "comparison": document,
        },
    )
    return _worst(found, compared)


def _worst(*statuses: int) -> int:
    return 1 if 1 in statuses else max(statuses)


def _checked(side: Side, number: int, transfer: Transfer, limits: Sequence[Any]) -> Suite:
    name = f"{side.name}-{number}"
    if transfer.why or transfer.sent.result is None:
        why = transfer.why or "there is no result"
        return Suite(name, [Verdict("run", Outcome.FAIL, limit="is to be complete", why=why)])
    try:
        return Suite(name, check(read_result(transfer.sent.result), limits))
    except ResultError as error:
        return Suite(name, [Verdict("run", Outcome.FAIL, why=str(error))])


def _compare(
    options: argparse.Namespace, sides: Sequence[Side], done: _Done
) -> tuple[int, Any, str, Suite]:
    # What comes before has said where numpy is missing.
    from v4l_dmabuf.compare import compare, load  # noqa: PLC0415
    from v4l_dmabuf.compare.document import document  # noqa: PLC0415
    from v4l_dmabuf.compare.markdown import conclusion, markdown, plain  # noqa: PLC0415
    from v4l_dmabuf.compare.page import page  # noqa: PLC0415
    from v4l_dmabuf.compare.verdicts import status as compared  # noqa: PLC0415
    from v4l_dmabuf.compare.verdicts import verdicts  # noqa: PLC0415

    comparison = compare(*(load(done.results(side)) for side in sides))
    first, second = (plain(side.name) for side in sides)
    names = (first, second)
    html = options.output / "index.html"
    write_text(str(html), page(comparison, names))
    write_text(str(options.output / "comparison.md"), markdown(comparison, names) + "\n")
    return (
        compared(comparison),
        document(comparison, names),
        f"\n{conclusion(comparison, names)}\n{html} has all of it.\n",
        Suite(f"{second} against {first}", verdicts(comparison)),
    )


if __name__ == "__main__":
    sys.exit(lab_main())
