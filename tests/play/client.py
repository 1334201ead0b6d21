"""A WebSocket client for tests, which can break the rules, and a Chromium driven through one."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import struct
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
"""Kinds of WebSocket frames, RFC 6455."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --hide-scrollbars --remote-debugging-port=0
"""
PATIENCE = 60.0  # seconds for anything a test waits for: enough where two cores are shared


def mask_bytes(payload: bytes, mask: bytes) -> bytes:
    """Payload XOR the four bytes of the mask, repeated."""
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class Socket:
    """One connection, its messages as text."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, url: str, headers: tuple[str, ...] = ()) -> "Socket":
        """Raises ConnectionError with the first line of the answer where the handshake is refused."""
        where = urlsplit(url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=1 << 26)
        target = where._replace(scheme="", netloc="").geturl()
        lines = (
            f"GET {target} HTTP/1.1", f"Host: {where.netloc}", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", "Sec-WebSocket-Version: 13", *headers,
        )  # fmt: skip
        writer.write("\r\n".join((*lines, "", "")).encode())
        async with asyncio.timeout(PATIENCE):
            answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 101"):
            writer.close()
            raise ConnectionError(answer.split(b"\r\n")[0].decode())
        return cls(reader, writer)

    def send(self, payload: bytes | str | dict, kind: int = TEXT, *, final: bool = True, masked: bool = True) -> None:
        if isinstance(payload, dict):
            payload = json.dumps(payload)
        payload = payload.encode() if isinstance(payload, str) else payload
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([(0x80 if final else 0) | kind])
        bit = 0x80 if masked else 0
        if size < 126:
            head += bytes([bit | size])
        elif size < 1 << 16:
            head += struct.pack("!BH", bit | 126, size)
        else:
            head += struct.pack("!BQ", bit | 127, size)
        self.writer.write(head + (mask + mask_bytes(payload, mask) if masked else payload))

    async def next(self) -> dict | tuple[str, int]:
        """The next message, read as JSON; ("closed", code) when the server closes, 1006 without a word."""
        while True:
            try:
                # Not `wait_for`: before Python 3.12 it may swallow the cancellation by a limit around it, and a test
                # that waits for what never comes would wait for ever.
                async with asyncio.timeout(PATIENCE):
                    kind, payload = await self._frame()
            except (asyncio.IncompleteReadError, ConnectionError):
                return "closed", 1006
            if kind == PING:
                self.send(payload, PONG)
            elif kind == CLOSE:
                return "closed", struct.unpack("!H", payload[:2])[0]
            elif kind == TEXT:
                return json.loads(payload)

    async def until(self, key: str, wanted=lambda value: True):
        """The value of the next message that has this key and is wanted; others are passed over."""
        async with asyncio.timeout(PATIENCE):
            while True:
                reply = await self.next()
                if isinstance(reply, tuple):
                    raise ConnectionError(reply)
                if key in reply and wanted(reply[key]):
                    return reply[key]

    async def _frame(self):
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(size)

    def vanish(self) -> None:
        """Be gone without a word."""
        self.writer.transport.abort()


class Page:
    """One tab of a headless Chromium, over its debugging protocol."""

    def __init__(self, socket: Socket):
        self.socket, self.numbers, self.problems = socket, itertools.count(1), []

    async def call(self, method: str, **params):
        number = next(self.numbers)
        self.socket.send({"id": number, "method": method, "params": params})
        while True:
            reply = await self.socket.next()
            if reply.get("id") == number:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']}")
                return reply["result"]
            if reply.get("method") == "Runtime.exceptionThrown":
                self.problems.append(reply["params"]["exceptionDetails"])
            elif reply.get("method") == "Log.entryAdded" and reply["params"]["entry"]["level"] == "error":
                self.problems.append(reply["params"]["entry"]["text"])

    async def run(self, script: str):
        """The value of a JavaScript expression in the page."""
        reply = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in reply:
            raise RuntimeError(reply["exceptionDetails"])
        return reply["result"].get("value")

    async def until(self, script: str):
        """Wait until an expression is true; returns its value."""
        async with asyncio.timeout(PATIENCE):
            while not (value := await self.run(script)):
                await asyncio.sleep(0.02)
        return value

    async def front(self) -> None:
        """Be the tab that is looked at; another is painted, and gets mouse and keys, when the browser likes."""
        await self.call("Page.bringToFront")

    async def key(self, key: str, down: bool = True, up: bool = True) -> None:
        await self.front()
        text = {"text": key} if len(key) == 1 else {}
        if down:
            await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        if up:
            await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def click(self, selector: str) -> None:
        """With the mouse, in the middle of an element."""
        await self.front()
        x, y = await self.run(
            f"(() => {{ const node = document.querySelector({json.dumps(selector)}); node.scrollIntoView(); "
            "const box = node.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def screenshot(self, path: Path) -> None:
        await self.front()
        reply = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(reply["data"]))


@contextlib.asynccontextmanager
async def chromium(folder: Path, size: tuple[int, int] = (1200, 900)):
    """A function that opens a page in a browser of its own."""
    profile = folder / "profile"
    browser = await asyncio.create_subprocess_exec(
        BROWSER, *FLAGS.split(), f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    sockets = []
    try:
        async with asyncio.timeout(PATIENCE):
            while not (port_file := profile / "DevToolsActivePort").exists() or not port_file.read_text():
                await asyncio.sleep(0.05)
        port = port_file.read_text().split()[0]

        async def visit(url: str) -> Page:
            request = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT")
            metrics = await asyncio.to_thread(lambda: json.load(urllib.request.urlopen(request, timeout=PATIENCE)))
            page = Page(await Socket.open(metrics["webSocketDebuggerUrl"].replace("ws://", "http://")))
            sockets.append(page.socket)
            for domain in ("Page", "Runtime", "Log"):
                await page.call(f"{domain}.enable")
            await page.call("Page.navigate", url=url)
            await page.until("location.href !== 'about:blank' && document.readyState === 'complete'")
            return page

        yield visit
    finally:
        for socket in sockets:
            socket.vanish()
        browser.kill()
        await browser.wait()
