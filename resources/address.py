"""Whether a link stays where the connection is, however its address is written."""

from __future__ import annotations

from typing import Final
from urllib.parse import urljoin, urlsplit

NONE: Final = "what is no address"
_PORTS: Final = {"https": 443, "http": 80}


def elsewhere(link: str, base: str, *, any_scheme: bool = False) -> str:
    """Where a link of `base` leads, for a message, if that is another place than the base's; "" where it stays there.

    In a message stands the host, and the whole place where only the rest of it is another.
    A place is scheme, host and port, in any case and with the usual port named or not; never a user name or password.
    `any_scheme`: http is as good as https, since nothing is sent there.
    """
    try:
        whole = urlsplit(urljoin(base, link))
        there = _place(
            whole._replace(scheme=urlsplit(base).scheme).geturl() if any_scheme else whole.geturl()
        )
    except ValueError:
        return NONE
    here = _place(base)
    if there == here:
        return ""
    host = there.partition("://")[2]
    return there if urlsplit(there).hostname == urlsplit(here).hostname else host


def place(url: str) -> str:
    """Scheme, host and port of an address in one writing, for a message."""
    try:
        return _place(url)
    except ValueError:
        return NONE


def _place(url: str) -> str:
    address = urlsplit(url)
    user = "somebody@" if address.username else ""
    port = "" if address.port in (None, _PORTS.get(address.scheme)) else f":{address.port}"
    return f"{address.scheme}://{user}{address.hostname}{port}"
