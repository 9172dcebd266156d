"""A real browser for a test: Debian's Chromium without a window, spoken to over a pipe in its own protocol (CDP).

Without chromium those tests are skipped, and fail in CI. Everything that the page says to its console and every address
that it asks for is kept, so that a test can say that there was no error and that nothing left the machine.
"""

import base64
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

WAIT_SECONDS = 30.0
ARGUMENTS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
# The browser reads commands from descriptor 3 and writes answers to 4, whatever numbers our pipes have.
ON_3_AND_4 = 'commands=$1 answers=$2; shift 2; exec "$@" 3<&$commands 4>&$answers'


class Browser:
    """One tab. `errors` are what its console and its scripts complained of, `addresses` what it asked for."""

    def __init__(self, executable: str, profile: Path) -> None:
        self.errors: list[str] = []
        self.addresses: list[str] = []
        self._loads = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._numbers, self._came = count(1), threading.Condition()
        commands, self._commands = os.pipe()
        self._told, answers = os.pipe()
        self._program = subprocess.Popen(
            [
                *("bash", "-c", ON_3_AND_4, "chromium", str(commands), str(answers)),
                *(executable, *ARGUMENTS, f"--user-data-dir={profile}", "about:blank"),
            ],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        threading.Thread(target=self._listen, daemon=True).start()
        self._session = ""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer."""
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        command = {"id": number, "method": method, "params": params, **session}
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        with self._came:
            assert self._came.wait_for(lambda: number in self._answers, WAIT_SECONDS), f"no answer to {method}"
            answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, address: str) -> None:
        self.send("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def reload(self) -> None:
        """Also where scripts are switched off, and the page cannot be asked whether it is there."""
        with self._came:
            before = self._loads
        self.send("Page.reload")
        with self._came:
            assert self._came.wait_for(lambda: self._loads > before, WAIT_SECONDS), "the page was not loaded again"

    def tell(self, expression: str) -> Any:
        """What a line of JavaScript answers in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def follow(self, selector: str) -> None:
        """Clicks a link or a button, and waits for the page that it leads to."""
        with self._came:
            before = self._loads
        self.click(selector)
        with self._came:
            assert self._came.wait_for(lambda: self._loads > before, WAIT_SECONDS), f"{selector} led to no page"

    def click(self, selector: str, *, times: int = 1) -> None:
        """Where a person would: in the middle of what they see; twice is a double click."""
        self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        place = self.tell(MIDDLE % json.dumps(selector))
        assert place["seen"], f"{selector} lies under something else"
        for clicks in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                at = {"x": place["x"], "y": place["y"], "button": "left", "clickCount": clicks}
                self.send("Input.dispatchMouseEvent", type=kind, **at)

    def fill(self, selector: str, text: str) -> None:
        """Types into a field."""
        self.tell(f"document.querySelector({json.dumps(selector)}).focus()")
        self.send("Input.insertText", text=text)

    def text(self) -> str:
        """What the page says."""
        return str(self.tell("document.body.innerText"))

    def screen(self, *, width: int, height: int = 800, dark: bool = False) -> None:
        """How large the window is, and which colours its owner likes."""
        mobile = width < 500
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def photograph(self, file: Path) -> None:
        """What the window shows, as PNG, once no colour is on its way to another."""
        self.until("document.getAnimations().length === 0")
        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def until(self, expression: str, *, seconds: float = WAIT_SECONDS) -> None:
        """Waits until the page says so."""
        deadline = time.monotonic() + seconds
        while not self._says(expression):
            assert time.monotonic() < deadline, f"{expression} did not become true; the page: {self._says(BODY)}"
            time.sleep(0.05)

    def end(self) -> None:
        self._program.kill()
        self._program.wait()
        os.close(self._commands)

    def _says(self, expression: str) -> Any:
        try:
            return self.tell(expression)
        except AssertionError:  # between two pages there is none to ask
            return None

    def _listen(self) -> None:
        rest = b""
        while part := os.read(self._told, 1 << 16):
            *messages, rest = (rest + part).split(b"\0")
            for message in messages:
                self._hear(json.loads(message))

    def _hear(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case None:
                with self._came:
                    self._answers[message["id"]] = message
                    self._came.notify_all()
            case "Page.loadEventFired":
                with self._came:
                    self._loads += 1
                    self._came.notify_all()
            case "Runtime.exceptionThrown":
                self.errors.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning"):
                self.errors.append(str(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.errors.append(str(params["entry"]))
            case "Network.requestWillBeSent":
                self.addresses.append(params["request"]["url"])


# An element's middle in the window, once it is scrolled there; `seen` says that a click there meets it.
MIDDLE = """(() => {
    const found = document.querySelector(%s);
    found.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
    const box = found.getClientRects()[0], x = box.x + box.width / 2, y = box.y + box.height / 2;
    const met = document.elementFromPoint(x, y);
    return {x, y, seen: found.contains(met)};
})()"""
BODY = "document.body && document.body.innerText"


def chromium_or_skip() -> str:
    if executable := shutil.which("chromium"):
        return executable
    if os.environ.get("CI") == "true":
        pytest.fail("chromium is not installed, and CI must prove what a person sees")
    pytest.skip("chromium is not installed")


@pytest.fixture
def new_browser(tmp_path: Path) -> Iterator[Callable[[], Browser]]:
    executable = chromium_or_skip()
    opened: list[Browser] = []

    def open_one() -> Browser:
        opened.append(Browser(executable, tmp_path / f"profile-{len(opened)}"))
        return opened[-1]

    yield open_one
    for browser in opened:
        browser.end()
