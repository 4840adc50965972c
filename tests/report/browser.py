"""A headless Chromium, asked over a pipe by its DevTools protocol: nothing to install beside the browser itself."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from itertools import count
from pathlib import Path
from typing import Any

import pytest

FOUND = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(FOUND is None, reason="no Chromium is installed here")


class Browser:
    """One tab. What it reads and writes are messages that end in a zero byte."""

    def __init__(self, profile: Path) -> None:
        assert FOUND is not None
        (theirs, self.requests), (self.answers, ours) = os.pipe(), os.pipe()
        # The browser reads from 3 and writes to 4.
        command = f'exec "$0" "$@" 3<&{theirs} 4>&{ours}'
        flags = ["--headless", "--no-sandbox", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(["bash", "-c", command, FOUND, *flags], pass_fds=(theirs, ours), **quiet)
        for end in (theirs, ours):
            os.close(end)
        self.numbers, self.rest, self.session = count(1), b"", {}
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = {"sessionId": attached["sessionId"]}

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self.numbers)
        asked = {"id": number, "method": method, "params": params, **self.session}
        os.write(self.requests, json.dumps(asked).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            pass
        return dict(answer["result"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            read = os.read(self.answers, 2**20)
            assert read, "the browser has ended"
            self.rest += read
        message, self.rest = self.rest.split(b"\0", 1)
        return dict(json.loads(message))

    def run(self, script: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    def open(self, page: Path, width: int = 1280, media: str = "screen") -> None:
        self.ask("Emulation.setEmulatedMedia", media=media)
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        self.ask("Page.navigate", url=page.resolve().as_uri())
        self.run("new Promise(done => document.readyState == 'complete' ? done() : addEventListener('load', done))")

    def pdf(self) -> bytes:
        """As the dialog prints it, without the box for backgrounds ticked."""
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=False)["data"])

    def close(self) -> None:
        os.close(self.requests)
        self.process.wait()
        os.close(self.answers)
