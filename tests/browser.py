"""A real Chromium without a screen, driven by its own protocol (https://chromedevtools.github.io/devtools-protocol/),
and axe-core, which knows the accessibility rules that a machine can check.
"""

import asyncio
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
import pytest

from tollway_dataplane.background import running
from tools.cluster_tools import cache_folder

_LOCK: Final = Path(__file__).parents[1] / "locks" / "axe.txt"
_PATIENCE_S: Final = 60.0  # a machine that is busy with other tests
_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--remote-debugging-port=0",
)  # fmt: skip
_KEYS: Final = {"Tab": 9, "Enter": 13, "ArrowRight": 39}
# What the rules are by which https://www.w3.org/TR/WCAG22/ is met, and what is good practice besides.
_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def chromium() -> str:
    """Skips the test, loudly, where there is none; in CI that is a failure."""
    if (found := shutil.which("chromium")) is not None:
        return found
    if os.environ.get("TOLLWAY_REQUIRE_CLUSTER_TOOLS"):
        raise FileNotFoundError("there is no chromium; install Debian's package of that name")
    pytest.skip("NO CHROMIUM, so nothing here was tested: install Debian's package of that name")


def axe() -> str:
    """The source of axe-core, of a package that brings it, fetched into the cache folder once. Nothing else of that
    package is used.
    """
    folder = cache_folder() / f"axe-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]}"
    source = folder / "axe_playwright_python" / "axe.min.js"
    if not source.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "--target", str(folder), "--requirement", str(_LOCK)], check=True)  # noqa: S603 - pip
    return source.read_text(encoding="utf-8")


@dataclass
class Page:
    """A tab. `requests` are the addresses of all that it has asked for, `errors` what went wrong in it."""

    socket: aiohttp.ClientWebSocketResponse
    session: str = ""
    password: str | None = None  # given to whoever asks for one
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _waiting: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _last: int = 0

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """A command of the protocol. Raises RuntimeError where the browser cannot do it."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[self._last + 1] = answer
        async with asyncio.timeout(_PATIENCE_S):
            await self._send(method, parameters)
            said = await answer
        if "error" in said:
            raise RuntimeError(f"{method}: {said['error']}")
        result: dict[str, Any] = said["result"]
        return result

    async def _send(self, method: str, parameters: object) -> None:
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        await self.socket.send_json(message)

    async def listen(self) -> None:
        """Until it is closed. What is answered to nobody is passed over."""
        async for message in self.socket:
            said = json.loads(message.data)
            if "id" not in said:
                await self._heard(said["method"], said["params"])
            elif (answer := self._waiting.pop(said["id"], None)) is not None and not answer.done():
                answer.set_result(said)

    async def _heard(self, event: str, told: dict[str, Any]) -> None:
        match event:
            case "Fetch.requestPaused":
                self.requests.append(told["request"]["url"])
                await self._send("Fetch.continueRequest", {"requestId": told["requestId"]})
            case "Fetch.authRequired":
                answer = {"response": "CancelAuth"}
                if self.password is not None:
                    answer = {"response": "ProvideCredentials", "username": "me", "password": self.password}
                parameters = {"requestId": told["requestId"], "authChallengeResponse": answer}
                await self._send("Fetch.continueWithAuth", parameters)
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(told["exceptionDetails"]))
            case "Log.entryAdded":
                self.errors.append(told["entry"]["text"])

    async def begin(self) -> None:
        """In a profile of its own, which knows no password yet."""
        profile = (await self.call("Target.createBrowserContext", disposeOnDetach=True))["browserContextId"]
        created = await self.call("Target.createTarget", url="about:blank", browserContextId=profile)
        target = created["targetId"]
        self.session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Accessibility"):
            await self.call(f"{domain}.enable")
        await self.call("Fetch.enable", handleAuthRequests=True, patterns=[{"urlPattern": "*"}])

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def evaluate(self, expression: str) -> Any:
        """The value of what is written in JavaScript. Raises RuntimeError where that fails."""
        said = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, timeout=50_000
        )
        if "exceptionDetails" in said:
            raise RuntimeError(f"{expression[:100]}: {said['exceptionDetails']}")
        return said["result"].get("value")

    async def until(self, expression: str) -> None:
        """Waits until it is true."""
        async with asyncio.timeout(_PATIENCE_S):
            while not await self.evaluate(expression):  # noqa: ASYNC110 - only the browser knows
                await asyncio.sleep(0.05)

    async def look(self, scheme: Literal["light", "dark"], width: int, height: int = 900) -> None:
        """On a screen so large, in pixels, of somebody who wants pages so."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.call("Emulation.setEmulatedMedia", features=features)
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )

    async def press(self, key: str) -> None:
        more = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=_KEYS[key],
                **more,
            )

    async def focused(self) -> str:
        """The id, or what it is called, of what has the focus."""
        asked = "(e => e.id || e.getAttribute('aria-labelledby') || e.textContent)(document.activeElement)"
        return str(await self.evaluate(asked))

    async def read_aloud(self) -> list[tuple[str, str]]:
        """What a screen reader is told: the role and the name of everything that has both."""
        nodes = (await self.call("Accessibility.getFullAXTree"))["nodes"]
        return [
            (str(each["role"]["value"]), str(each["name"]["value"]))
            for each in nodes
            if not each["ignored"] and each.get("name", {}).get("value")
        ]

    async def violations(self) -> list[str]:
        """What axe-core finds wrong: the rule, and where."""
        if not await self.evaluate("typeof axe !== 'undefined'"):
            await self.evaluate(await asyncio.to_thread(axe) + "; true")
        options = {"runOnly": {"type": "tag", "values": _RULES}, "resultTypes": ["violations"]}
        found = await self.evaluate(
            f"axe.run(document, {json.dumps(options)}).then(found => found.violations)"
        )
        return [f"{each['id']}: {[node['html'][:200] for node in each['nodes']]}" for each in found]

    async def picture(self, file: Path) -> None:
        """Of what is on the screen, as WebP."""
        said = await self.call("Page.captureScreenshot", format="webp", quality=80)
        await asyncio.to_thread(file.write_bytes, base64.b64decode(said["data"]))


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[str]:
    """The address of its protocol; what it writes goes into the folder."""
    program, told = chromium(), folder / "DevToolsActivePort"
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything waits
    with (folder / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *(program, *_FLAGS, f"--user-data-dir={folder}", "about:blank"),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while len(lines := await asyncio.to_thread(_lines, told)) < 2:  # noqa: ASYNC110 - it tells by a file
                await asyncio.sleep(0.05)
        yield f"ws://127.0.0.1:{lines[0]}{lines[1]}"
    finally:
        process.terminate()
        await process.wait()


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").split() if file.exists() else []


@asynccontextmanager
async def tab(address: str, password: str | None) -> AsyncIterator[Page]:
    async with aiohttp.ClientSession() as http, http.ws_connect(address, max_msg_size=0) as socket:
        page = Page(socket, password=password)
        async with running(page.listen()):
            await page.begin()
            yield page
