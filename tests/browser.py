"""Chromium without a window, driven through its debugging pipe, and a web server that records what it is asked for."""

import json
import os
import subprocess
import threading
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from attrs import define, field

from tests.timing import GENEROUS

__all__ = ["Browser", "Tab", "Web", "browsing", "serving"]

#: What keeps it from asking anybody by itself.
_QUIET = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--disable-features=OptimizationHints,MediaRouter,DialMediaRouteProvider",
    "--remote-debugging-pipe",
]


_GONE = -32001
_ATTACH = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}


class GoneError(Exception):
    """A frame is no longer there."""


@define(eq=False)
class Browser:
    """A running chromium."""

    _send: Any
    _receive: Any
    _last: int = field(default=0, init=False)
    _events: list[dict[str, Any]] = field(factory=list, init=False)
    _frames: dict[str, list[str]] = field(factory=dict, init=False)
    _new: list[str] = field(factory=list, init=False)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol, and return its result."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._send.write(json.dumps(message).encode() + b"\0")
        self._send.flush()
        while (answer := self._next()).get("id") != self._last:
            self._note(answer)
        if "error" in answer:
            raise (GoneError if answer["error"]["code"] == _GONE else AssertionError)(f"{method}: {answer['error']}")
        while self._new:
            with suppress(GoneError):
                self.call("Target.setAutoAttach", self._new.pop(), **_ATTACH)
        return answer["result"]

    def frames(self, session: str) -> list[str]:
        """Return the sessions of the frames of a page or frame that have a process of their own."""
        return self._frames.get(session, [])

    def wait(self, event: str, session: str) -> None:
        """Wait for an event of a tab."""
        while not any(one.get("method") == event and one.get("sessionId") == session for one in self._events):
            self._note(self._next())
        self._events = [one for one in self._events if one.get("method") != event or one.get("sessionId") != session]

    def _note(self, event: Any) -> None:
        self._events.append(event)
        if event.get("method") == "Target.detachedFromTarget":
            for sessions in self._frames.values():
                if event["params"]["sessionId"] in sessions:
                    sessions.remove(event["params"]["sessionId"])
        if event.get("method") == "Target.attachedToTarget" and "sessionId" in event:
            session = event["params"]["sessionId"]
            self._frames.setdefault(event["sessionId"], []).append(session)
            self._new.append(session)

    def _next(self) -> Any:
        data = bytearray()
        while (byte := self._receive.read(1)) != b"\0":
            assert byte, "chromium ended"
            data += byte
        return json.loads(data)

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> "Tab":
        """Open a page in a new tab, and wait until it and its frames have loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session)
        tab.call("Target.setAutoAttach", **_ATTACH)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        tab.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        tab.call("Emulation.setEmulatedMedia", features=[scheme])
        tab.call("Page.enable")
        tab.call("Page.navigate", url=url)
        self.wait("Page.loadEventFired", session)
        return tab


@define(eq=False)
class Tab:
    """One page."""

    _browser: Browser
    _session: str

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command for this page."""
        return self._browser.call(method, self._session, **parameters)

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression in the page itself."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self) -> str:
        """Return the texts of the page and of all frames in it, also of those in processes of their own."""
        found, sessions = [], [self._session]
        for session in sessions:
            nodes = []
            with suppress(GoneError):
                nodes.append(self._browser.call("DOM.getDocument", session, depth=-1, pierce=True)["root"])
            for node in nodes:
                nodes += [*node.get("children", ()), *filter(None, [node.get("contentDocument")])]
                if node["nodeName"] == "#text":
                    found.append(node["nodeValue"])
            sessions += self._browser.frames(session)
        return "\n".join(found)

    def click(self, x: float, y: float) -> None:
        """Click as a person does, whatever is at that place."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, x: float, y: float, width: float, height: float) -> bytes:
        """Return this part of the page as PNG."""
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        return b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"])


@contextmanager
def browsing(program: Sequence[str], directory: Path, *options: str) -> Iterator[Browser]:
    """Run chromium with a profile in this directory."""
    to_it, ours = os.pipe()
    theirs, from_it = os.pipe()

    def connect() -> None:
        # As 3 and 4; neither must be overwritten before it is copied.
        high, low = os.dup(to_it), os.dup(from_it)
        os.dup2(high, 3)
        os.dup2(low, 4)

    process = subprocess.Popen(
        [*program, *_QUIET, f"--user-data-dir={directory / 'profile'}", *options, "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        close_fds=False,
        preexec_fn=connect,
    )
    os.close(to_it)
    os.close(from_it)
    watchdog = threading.Timer(5 * GENEROUS, process.kill)  # of a whole test
    watchdog.start()
    try:
        with os.fdopen(ours, "wb") as send, os.fdopen(theirs, "rb") as receive:
            browser = Browser(send, receive)
            yield browser
            browser.call("Browser.close")
            process.wait(GENEROUS)
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()


@define(eq=False)
class Web:
    """A web server on loopback: pages by path, and what was asked for."""

    pages: dict[str, bytes] = field(factory=dict)
    #: Host and path of each request.
    asked: list[str] = field(factory=list, init=False)
    changed: threading.Condition = field(factory=threading.Condition, init=False)
    port: int = field(default=0, init=False)

    def wait_for(self, *wanted: str) -> None:
        """Wait until each of these was asked for."""
        with self.changed:
            done = self.changed.wait_for(lambda: all(any(one in url for url in self.asked) for one in wanted), GENEROUS)
        assert done, f"missing: {[one for one in wanted if not any(one in url for url in self.asked)]}"


@contextmanager
def serving(**pages: bytes) -> Iterator[Web]:
    """Serve pages; every other path is a style sheet that is empty, whatever it was asked for as."""
    web = Web({f"/{name}": page for name, page in pages.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = web.pages.get(self.path)
            with web.changed:
                if page is None:
                    web.asked.append(f"{self.headers.get('Host', '')}{self.path}")
                    web.changed.notify_all()
            self.send_response(200)
            self.send_header("Content-Type", "text/css" if page is None else "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page or b"")))
            self.end_headers()
            self.wfile.write(page or b"")

        do_POST = do_GET  # noqa: N815 - as the standard library names them

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        web.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join(GENEROUS)
