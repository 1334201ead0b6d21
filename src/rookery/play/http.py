"""The little of HTTP that a game needs: one request for one of a few fixed pages, read and answered with care."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress

from rookery.errors import RookeryError

MAX_HEADER_BYTES = 8192  # bytes of a request's lines and headers
REQUEST_TIMEOUT = 5.0  # seconds a request may take to arrive

REASON_PHRASES = {
    101: "Switching Protocols", 200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 409: "Conflict", 426: "Upgrade Required", 503: "Service Unavailable",
}  # fmt: skip


class HttpError(RookeryError):
    """A request that gets no page: `status` and a line on why."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


@dataclasses.dataclass(frozen=True)
class HttpRequest:
    target: str
    headers: dict[str, str]  # names in lower case


async def read_request(reader: asyncio.StreamReader) -> HttpRequest:
    """Read a GET request. Raises Refused for another, EOFError if nobody is there any more."""
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT):  # not `wait_for`, which before Python 3.12 may lose a cancellation
            head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, TimeoutError, OSError):
        raise EOFError from None
    except asyncio.LimitOverrunError:
        raise HttpError(400, f"a request has at most {MAX_HEADER_BYTES} bytes") from None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise HttpError(400, "this is not HTTP/1.1")
    if parts[0] != "GET":
        raise HttpError(405, "only GET is served")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name.lower() in headers:
            raise HttpError(400, "a header is malformed or stands twice")
        headers[name.lower()] = value.strip()
    return HttpRequest(parts[1], headers)


def check_origin(request: HttpRequest, loopback: bool) -> None:
    """Let no other site's page, and no name made to point here, reach the game through a visitor's browser.

    Args:
      loopback: the server is bound to loopback, so no other name for it is right.
    Raises: Refused.
    """
    host = request.headers.get("host", "")
    if loopback and not _is_loopback_name(host):
        raise HttpError(403, "this game is served to this machine alone, as localhost")
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
        raise HttpError(403, "another site's page may not play here")


def check_same_origin(request: HttpRequest) -> None:
    """What costs work is made for the game's own page, or who names it, and for no other site's picture or link.

    Raises: Refused.
    """
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise HttpError(403, "another site's page may not ask for this")


def _is_loopback_name(host: str) -> bool:
    """Whether a Host header means this machine by a name that no other can take."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    try:
        return name == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def http_response(status: int, body: str, content_type: str = "text/plain", headers: tuple[str, ...] = ()) -> bytes:
    """A whole answer; the connection ends with it."""
    content = body.encode("utf-8", "replace")
    lines = [
        f"HTTP/1.1 {status} {REASON_PHRASES[status]}",
        f"Content-Type: {content_type}; charset=utf-8",
        f"Content-Length: {len(content)}",
        "Connection: close",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: DENY",
        "Referrer-Policy: no-referrer",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content
