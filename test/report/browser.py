"""Pages seen in a real Chromium, over the pipe of its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Without a sandbox, which root may not have, and without a word to the network.
_QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_LOOK = """(async () => {
  await Promise.all([...document.images].map((image) => image.decode()));
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = (rgb) => rgb.map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const parsed = (color) => {
    const srgb = color.match(/^color\\(srgb ([^ ]+) ([^ ]+) ([^ )]+)(?: \\/ ([^)]+))?/);
    if (srgb) return [...srgb.slice(1, 4).map((v) => 255 * v), srgb[4] === undefined ? 1 : Number(srgb[4])];
    const [r, g, b, a = 1] = color.match(/[0-9.]+/g).map(Number);
    return [r, g, b, a];
  };
  const behind = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const [r, g, b, a] = parsed(getComputedStyle(each).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || ["SCRIPT", "NOSCRIPT", "TITLE", "title"].includes(node.tagName)) continue;
    if (!node.getClientRects().length) continue;
    const style = getComputedStyle(node);
    const ink = parsed(node.namespaceURI.endsWith("svg") ? style.fill : style.color).slice(0, 3);
    const [dark, bright] = [luminance(ink), luminance(behind(node))].sort((a, b) => a - b);
    const ratio = (bright + 0.05) / (dark + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(1)} ${walker.currentNode.data.trim().slice(0, 40)}`);
  }
  return {
    wanted: document.documentElement.scrollWidth, given: innerWidth, room: document.documentElement.clientWidth, faint,
    images: [...document.images].map((image) => image.naturalWidth),
    unnamed: document.querySelectorAll("img:not([alt]), img[alt=''], svg:not([aria-label]):not([aria-hidden])").length,
  };
})()"""


@dataclass(frozen=True)
class Seen:
    """What a browser saw: ``wanted`` and ``given`` width, the ``room`` beside the scroll bar, widths of the ``images``.

    ``faint`` texts are hard to read; ``unnamed`` counts images without a text in their place; ``errors`` are what the
    console said, ``requests`` the addresses that were asked for beside the page itself.
    """

    wanted: int
    given: int
    room: int
    images: list[int]
    faint: list[str]
    unnamed: int
    errors: list[str]
    requests: list[str]


class Browser:
    """A headless Chromium with one page; a context manager. ``profile`` is an empty folder."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        def connect() -> None:
            # The browser reads from descriptor 3 and writes to 4.
            ends = os.dup(to_browser), os.dup(from_browser)
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        command = [CHROMIUM, *_QUIET, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(command, preexec_fn=connect, close_fds=False, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self._number, self._buffer, self._events = 0, b"", []
        targets = self._call("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        os.close(self._read)
        os.close(self._write)

    def look(self, page: Path, width: int, *, dark: bool = False, media: str = "") -> Seen:
        """Open a page, ``width`` pixels wide, in the light or dark scheme, on a screen or for ``media`` ``print``."""
        self._events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media=media, features=scheme)
        self.call("Page.navigate", url=page.as_uri())
        self._until("Page.loadEventFired")
        found = self.evaluate(_LOOK)
        errors, requests = [], []
        for event in self._events:
            method, values = event["method"], event["params"]
            if method == "Network.requestWillBeSent":
                requests.append(values["request"]["url"])
            elif method == "Runtime.exceptionThrown":
                errors.append(json.dumps(values["exceptionDetails"])[:500])
            elif method == "Log.entryAdded":
                errors.append(values["entry"]["text"])
            elif method == "Runtime.consoleAPICalled":
                errors.append(json.dumps(values["args"])[:500])
        own = "data:", page.as_uri()
        return Seen(**found, errors=errors, requests=[url for url in requests if not url.startswith(own)])

    def evaluate(self, script: str) -> Any:
        """The value of a script, after its promise."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def shoot(self, path: Path, *, most_height: int = 16000) -> None:
        """Write the whole page as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], most_height), "scale": 1}
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        path.write_bytes(base64.b64decode(data))

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """A method of the page's session."""
        return self._call(method, self._session, **values)

    def _call(self, method: str, session: str | None = None, **values: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": values}
        os.write(self._write, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._events.append(answer)

    def _until(self, method: str, timeout_s: float = 60) -> None:
        end_s = time.monotonic() + timeout_s
        while not any(event.get("method") == method for event in self._events):
            assert time.monotonic() < end_s, f"no {method} within {timeout_s} s"
            self._events.append(self._receive())

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            data = os.read(self._read, 1 << 16)
            assert data, "the browser ended"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)
