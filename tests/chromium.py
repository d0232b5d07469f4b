"""Drives Debian's Chromium over its pipe: a page is opened, asked, and its console heard."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Any, Self

from support import unavailable

_PATIENCE = 30.0


class Chromium:
    """A browser without a screen, and a page in it."""

    def __init__(self) -> None:
        program = shutil.which("chromium")
        if program is None:
            unavailable("there is no chromium: tools/setup browser")
        self._profile = tempfile.TemporaryDirectory()
        commands, self._out = os.pipe()
        self._in, answers = os.pipe()
        # The browser's ends are to be its descriptors 3 and 4.
        self._process = subprocess.Popen(
            [
                *("bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "bash", program),
                *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"),
                *("--no-first-run", "--disable-dev-shm-usage", "--window-size=1280,800"),
                f"--user-data-dir={self._profile.name}",
            ],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._numbers = itertools.count(1)
        self._buffer = b""
        self.console: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        session = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = session["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def _hear(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(until - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            piece = os.read(self._in, 1 << 20)
            assert piece, "the browser ended"
            self._buffer += piece
        message, self._buffer = self._buffer.split(b"\0", 1)
        told: dict[str, Any] = json.loads(message)
        self._note(told)
        return told

    def _note(self, told: dict[str, Any]) -> None:
        about = told.get("params", {})
        if told.get("method") == "Runtime.exceptionThrown":
            self.console.append(str(about["exceptionDetails"]))
        elif told.get("method") == "Runtime.consoleAPICalled" and about["type"] == "error":
            self.console.append(str(about["args"]))
        elif told.get("method") == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.console.append(about["entry"]["text"])

    def _ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        asked: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            asked["sessionId"] = session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        until = time.monotonic() + _PATIENCE
        while True:
            told = self._hear(until)
            if told.get("id") == number:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask something of the page."""
        return self._ask(method, self._session, **parameters)

    def open(self, url: str) -> None:
        """Open a page."""
        self.ask("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """Give what a JavaScript expression is, once it is settled."""
        told = self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Wait until an expression is true, and give it."""
        until = time.monotonic() + _PATIENCE
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < until, f"it did not come to this: {expression}"
            time.sleep(0.05)
        return value

    def press(self, key: str) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, **text)

    def screenshot(self) -> bytes:
        """Give what the page looks like, as PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()
