"""What a page that shows a stream costs it, and how old its picture is.

1080p at 60 frames a second over loopback, both ends in processes of their own: without a page,
with one that nobody looks at, and with a client that asks as the page does, five times a second,
in turn. Then, at 30 frames a second, by how many frames a picture lags what was sent. Leaves
view.json and view.md.
"""

import http.client
import json
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from guests.guest import VENV
from v4l_dmabuf import Receiver, Sender, Slot

ROUNDS = 5
FRAMES = 600
WINDOW = 7.0
"""Seconds in the midst of a run over which its CPU is counted."""
FOLDER = Path(__file__).parent
LOCALHOST = "127.0.0.1"
WAYS = ("without", "idle", "asked")


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(process: int) -> float:
    """Give what a process has taken of CPUs, by its threads' schedstat."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


class Client:
    """Asks for pictures as the page does, until it is closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.lags: list[int] = []
        self.drawn = 0
        self.pictures = 0
        self._is_over = False
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        after = ""
        while not self._is_over:
            try:
                connection = http.client.HTTPConnection(LOCALHOST, self._port, timeout=5)
                while not self._is_over:
                    connection.request("GET", f"/frame?after={after}")
                    answer = connection.getresponse()
                    body = answer.read()
                    if answer.status == 200:
                        number = int.from_bytes(body[:8], "little")
                        self.lags.append(self.drawn - number)
                        self.pictures += 1
                        after = str(number)
            except OSError:
                time.sleep(0.02)

    def close(self) -> None:
        """Leave off."""
        self._is_over = True
        self._thread.join()


def measured(way: str) -> tuple[float, float, int]:
    """Give a stream's rate, the receiver's milliseconds of CPU a frame, and pictures given."""
    port, page = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        common = ["-p", str(port), "-e", "memfd", "-q"]
        view = [] if way == "without" else ["--view", str(page)]
        commands = str(VENV / "bin/v4l-dmabuf-")
        own = ["-l", LOCALHOST, *view, "--report", str(report)]
        receiver = subprocess.Popen([f"{commands}receiver", *common, *own])
        time.sleep(1)
        client = Client(page) if way == "asked" else None
        sent = ["-d", "test", "-W", "1920", "-H", "1080", "--fps", "60", "-n", str(FRAMES)]
        sender = subprocess.Popen([f"{commands}sender", *common, "-a", LOCALHOST, *sent])
        # What programs take to start is left out.
        time.sleep(2)
        before = cpu_seconds(receiver.pid)
        time.sleep(WINDOW)
        spent = cpu_seconds(receiver.pid) - before
        assert sender.wait() == 0
        receiver.wait()
        if client is not None:
            client.close()
        result = json.loads(report.read_text())
    pictures = 0 if client is None else client.pictures
    assert result["summary"]["frames"] == FRAMES
    return result["summary"]["fps"], spent / (WINDOW * 60) * 1e3, pictures


def lags() -> list[int]:
    """Give by how many frames each picture lagged what was drawn by then."""
    port, page = free_port(), free_port()
    client: Client | None = None
    due = time.monotonic()

    def draw(slot: Slot) -> None:
        nonlocal due
        due += 1 / 30
        time.sleep(max(due - time.monotonic(), 0))
        with memoryview(slot) as view:
            view[:64] = bytes(64)
        if client is not None:
            client.drawn += 1

    receiver = Receiver(listen=LOCALHOST, port=port, heap="memfd", view=page, view_fps=30)
    with receiver:
        receiving = threading.Thread(target=receiver.run)
        receiving.start()
        client = Client(page)
        # The first frame's number is 0.
        client.drawn = -1
        sender = Sender(
            address=LOCALHOST,
            port=port,
            width=1280,
            height=720,
            heap="memfd",
            source=draw,
        )
        sender.run(frames=300)
        receiving.join()
    client.close()
    return client.lags


def main() -> None:
    """Measure, and write it down."""
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    costs: dict[str, list[float]] = {way: [] for way in WAYS}
    pictures = []
    for round_ in range(ROUNDS + 1):
        for way in WAYS if round_ % 2 else reversed(WAYS):
            rate, cost, given = measured(way)
            print(round_, way, f"{rate:.2f} fps, {cost:.2f} ms, {given} pictures", flush=True)
            # The first round warms up.
            if round_:
                rates[way].append(rate)
                costs[way].append(cost)
                pictures += [given] if way == "asked" else []
    lag = lags()
    told = {"rates": rates, "milliseconds": costs, "pictures": pictures, "lags": lag}
    (FOLDER / "view.json").write_text(json.dumps(told, indent=1) + "\n")
    lines = [
        "# What a page that shows a stream costs it",
        "",
        "`make bench-view` writes this page: 1080p at 60 frames a second over loopback, the",
        f"receiver's `--view`, {ROUNDS} runs of {FRAMES} frames each way, in turn. Medians; in",
        "brackets the least and the most, of the ratios pair by pair.",
        "",
        "| | frames a second | CPU, ms a frame | rate, to without | CPU, to without |",
        "|---|---|---|---|---|",
    ]
    words = {
        "without": "without a page",
        "idle": "nobody looks",
        "asked": "a client asks 5 times a second",
    }
    for way in WAYS:
        cells = [words[way], f"{statistics.median(rates[way]):.2f}"]
        cells.append(f"{statistics.median(costs[way]):.2f}")
        for figures in (rates, costs):
            pairs = zip(figures[way], figures["without"], strict=True)
            ratios = [one / other for one, other in pairs]
            cells.append(
                f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
            )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "At 30 frames a second and `--view-fps 30`, 720p: a picture lags what was drawn by "
        f"{statistics.median(lag):.0f} frames, by {max(lag)} at most, of {len(lag)} pictures.",
    ]
    (FOLDER / "view.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
