"""Which requests the game answers: those of its own page, not those of other sites' pages in a visitor's browser."""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import parse_qs

from websockets.http11 import Request

_FAR_AWAY = {4: "192.0.2.1", 6: "2001:db8::1"}  # by IP version; of no machine, for documentation: RFC 5737, RFC 3849
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]/@]+)(?::(?P<port>[0-9]{1,5}))?")


class RefusedError(Exception):
    """A request that does not get a page: an HTTP status and one line on the reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def is_loopback(addresses: Iterable[str]) -> bool:
    """Whether only this machine can reach a server that is bound to these IP addresses."""
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)


def address_for_others(addresses: Iterable[str]) -> str:
    """Where other machines find a server that is bound to these IP addresses, not all of them loopback: an IP address,
    or the name of this machine if it serves at any address and has no route to other machines.
    """
    address = next(address for address in addresses if not is_loopback([address]))
    bound = ipaddress.ip_address(address)
    return (_outward_address(bound.version) or socket.gethostname()) if bound.is_unspecified else address


def _outward_address(version: int) -> str | None:
    """The IP address from which this machine would send to other machines; None without a route. Sends nothing."""
    family = {4: socket.AF_INET, 6: socket.AF_INET6}[version]
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.connect((_FAR_AWAY[version], 9))  # of a datagram socket: chooses the route alone
            address = trial.getsockname()[0]
    except OSError:
        return None
    return None if is_loopback([address]) else address


def check_request(request: Request, *, loopback: bool, token: str) -> None:
    """Raises RefusedError for a request that may come from another site's page, or from a stranger.

    A page of another site can make a visitor's browser send requests here, also under a name of its own that resolves
    to this machine (DNS rebinding). A server that only this machine can reach therefore answers to the names of this
    machine alone; any other server needs the token of the printed address.
    """
    if request.method != "GET":
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is served")
    host = _only(request, "Host") or ""
    if loopback and not is_own_name(host):
        raise RefusedError(HTTPStatus.FORBIDDEN, "this game is served to this machine alone, as localhost")
    origin = _only(request, "Origin")
    if origin is not None and origin.partition("://")[2] != host:
        raise RefusedError(HTTPStatus.FORBIDDEN, "a page of another site may not play here")
    if not loopback:
        client_token = parse_qs(request.path.partition("?")[2]).get("token", [""])[0]
        if not secrets.compare_digest(client_token.encode(), token.encode()):
            raise RefusedError(HTTPStatus.FORBIDDEN, "open the address that the game printed, with its token")


def check_same_origin(request: Request) -> None:
    """Raises RefusedError where another site's page asks, for what costs work to make."""
    if (_only(request, "Sec-Fetch-Site") or "none") not in ("same-origin", "none"):
        raise RefusedError(HTTPStatus.FORBIDDEN, "a page of another site may not ask for this")


def is_own_name(host: str) -> bool:
    """Whether a Host header, with or without a port, is a name of this machine that no other machine can have."""
    match = _HOST.fullmatch(host)
    if match is None or int(match["port"] or 0) >= 1 << 16:
        return False
    name = match["name"].strip("[]")
    try:
        return name.lower() == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _only(request: Request, name: str) -> str | None:
    """The value of a header; None if it is missing."""
    values = request.headers.get_all(name)
    if len(values) > 1:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the header {name} appears more than once")
    return values[0] if values else None
