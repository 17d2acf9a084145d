"""Tokens that a system gives for a time: renewed once for all processes, and stored before they are used.

    auth = OAuth("zoho", store, grant, scheme="Zoho-oauthtoken")
    client = Client("zoho", auth.token().extra["api"], auth=auth, ...)

A refresh token that is good for one use only makes two processes that renew at once a dead integration.
So the row of the system is locked while one of them renews; the other, when its turn comes, finds a token
that is newer than the one it knows, and takes it. The new pair is committed before any request uses it.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Protocol

import httpx
import msgspec
import psycopg

from resources.connector import SourceError
from resources.http import conceal
from resources.warehouse import WarehouseError

# Before its end a token is renewed, so that none dies on its way: at most half of its life, which SHORT in its `extra` says.
EARLY = timedelta(seconds=60)
SHORT: Final = "expires_in"
# How long a new token is tried to be stored by new connections, when the database was lost meanwhile.
STORED_WITHIN: Final = timedelta(seconds=15)
STORED_EVERY_SECONDS: Final = 0.5
LONGEST: Final = timedelta(days=36_500)  # a life beyond it is none


@dataclass(frozen=True, slots=True)
class Token:
    """What a system gave. `expires_at` None: nobody said; it is used until it is refused."""

    access: str
    refresh: str = ""
    expires_at: datetime | None = None  # UTC
    extra: Mapping[str, str] = field(
        default_factory=dict
    )  # what else came: the address of the API, the scope

    def is_good(self, now: datetime) -> bool:
        """Whether it may be used now."""
        early = min(EARLY, timedelta(seconds=float(life)) / 2) if (life := self.extra.get(SHORT)) else EARLY
        return bool(self.access) and (self.expires_at is None or now < self.expires_at - early)


class TokenStore(Protocol):
    """Where the tokens of one system are kept."""

    def read(self) -> Token | None:
        """The token as it stands, without waiting for anybody."""
        ...

    def locked(self) -> contextlib.AbstractContextManager[Kept]:
        """Hold the only right to renew; `Kept.put` makes a token lasting at once."""
        ...


class Kept(Protocol):
    """A held token: what it is, and how to replace it."""

    token: Token | None

    def put(self, token: Token) -> None:
        """Store a token for good, whatever becomes of the holder."""
        ...


@dataclass
class MemoryTokens:
    """Tokens of one process. Safe to use from several threads."""

    token: Token | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self) -> Token | None:
        """See TokenStore.read."""
        return self.token

    @contextlib.contextmanager
    def locked(self) -> Iterator[MemoryTokens]:
        """See TokenStore.locked."""
        with self._lock:
            yield self

    def put(self, token: Token) -> None:
        """See Kept.put."""
        self.token = token


class StoredTokens:
    """Tokens in PostgreSQL (`ops.token`), one row a system, shared by all processes.

    `grant` marks where the first token came from (`mark` of the credentials in the connection): tokens of
    another grant are not used, so that a person who enters new credentials is not held up by old ones.
    """

    def __init__(self, system: str, grant: str, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self.system, self.grant, self._connect = system, grant, connect

    def read(self) -> Token | None:
        """See TokenStore.read. Raises SourceError when the database cannot be reached."""
        with self._connected() as conn:
            return self._read(conn)

    @contextlib.contextmanager
    def locked(self) -> Iterator[_Row]:
        """See TokenStore.locked. The lock is the session's: it ends with the process too."""
        with self._connected() as conn:
            conn.autocommit = True
            key = [f"token {self.system}"]
            conn.execute("select pg_advisory_lock(hashtextextended(%s, 0))", key)
            try:
                yield _Row(self, conn, self._read(conn))
            finally:
                # It ends with the connection too; what went wrong before is what is told.
                with contextlib.suppress(psycopg.Error):
                    conn.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", key)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            conn = self._connect()
        except psycopg.OperationalError:
            raise SourceError(
                f"{self.system}: the tokens in the database cannot be reached; "
                "check that PostgreSQL runs and SVERKA_DATABASE_URL is right",
                retriable=True,
            ) from None
        with contextlib.closing(conn):
            yield conn

    def _read(self, conn: psycopg.Connection[Any]) -> Token | None:
        row = conn.execute(
            "select access_token, refresh_token, expires_at, extra from ops.token where system = %s and granted_by = %s",
            [self.system, self.grant],
        ).fetchone()
        if row is None:
            return None
        conceal([row[0] or "", row[1] or ""])
        return Token(row[0] or "", row[1] or "", row[2], row[3])

    def write(self, conn: psycopg.Connection[Any], token: Token) -> None:
        """Store it, in a transaction of its own."""
        conn.execute(
            """
            insert into ops.token (system, access_token, refresh_token, expires_at, extra, granted_by)
            values (%s, %s, %s, %s, %s, %s)
            on conflict (system) do update set access_token = excluded.access_token,
                refresh_token = excluded.refresh_token, expires_at = excluded.expires_at, extra = excluded.extra,
                granted_by = excluded.granted_by, changed_at = clock_timestamp()
            """,
            [self.system, token.access, token.refresh, token.expires_at,
             msgspec.json.encode(dict(token.extra)).decode(), self.grant],
        )  # fmt: skip

    def write_anew(self, before: Token | None, token: Token) -> None:
        """Store it by a connection of its own, since the one that held the lock is lost, and the lock with it:
        what somebody else has put in place of `before` meanwhile stays. Raises SourceError after STORED_WITHIN."""
        deadline = time.monotonic() + STORED_WITHIN.total_seconds()
        while True:
            try:
                # Without the lock of who renews: the server may not know yet that its holder is gone.
                with self._connected() as conn:
                    conn.execute("lock table ops.token in share row exclusive mode")
                    if self._read(conn) == before:
                        self.write(conn, token)
                    conn.commit()
                return
            except (psycopg.OperationalError, WarehouseError, SourceError) as error:
                if time.monotonic() >= deadline:
                    raise SourceError(
                        f"{self.system}: a renewed token could not be stored, since the database cannot be reached; check "
                        "that PostgreSQL runs and SVERKA_DATABASE_URL is right. This process stores it at its next request",
                        retriable=True,
                    ) from error
            time.sleep(STORED_EVERY_SECONDS)


class _Row:
    def __init__(self, store: StoredTokens, conn: psycopg.Connection[Any], token: Token | None) -> None:
        self._store, self._conn, self.token = store, conn, token

    def put(self, token: Token) -> None:
        try:
            self._store.write(self._conn, token)
        except psycopg.OperationalError:
            self._store.write_anew(self.token, token)
        self.token = token


def mark(*credentials: str) -> str:
    """A mark of the credentials by which tokens are granted; it tells nothing of them."""
    return hashlib.sha256("\0".join(credentials).encode()).hexdigest()[:16]


# Asks the system for a token: with the one known (to renew it), or with None (for the first one).
# Raises SourceError in words for a person: which grant failed, and what to do.
Grant = Callable[[Token | None], Token]


class OAuth(httpx.Auth):
    """Puts a token on every request, and renews it before its end or when it is refused, once.

    `grant` is the vendor's: it returns a new token, and whatever of the old one stays. `scheme` is what stands
    before the token in the Authorization header. `refused` tells from a whole answer that the token was the
    cause, where that is not simply HTTP 401 (some say so within a 200).
    Raises what `grant` raises.
    """

    def __init__(
        self,
        system: str,
        store: TokenStore,
        grant: Grant,
        *,
        scheme: str = "Bearer",
        refused: Callable[[httpx.Response], bool] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.system, self._store, self._grant = system, store, grant
        self._scheme, self._refused, self._clock = scheme, refused or _unauthorized, clock
        self.requires_response_body = refused is not None
        self._lock = threading.Lock()
        self._token: Token | None = None
        # Given and not stored yet, after the one that was stored: the old refresh token may be worth nothing now.
        self._unstored: tuple[Token | None, Token] | None = None

    def token(self) -> Token:
        """A token that is good now, the stored one or a new one."""
        known = self._token
        if known is None or self._unstored is not None or not known.is_good(self._clock()):
            known = self._renewed(known)
        return known

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """httpx's own protocol: send, and once more with a new token where the first was refused."""
        used = self.token()
        request.headers["Authorization"] = f"{self._scheme} {used.access}"
        response = yield request
        if self._refused(response):
            fresh = self._renewed(used)
            if fresh.access != used.access:
                request.headers["Authorization"] = f"{self._scheme} {fresh.access}"
                yield request

    def _renewed(self, used: Token | None) -> Token:
        """A token other than the one used: somebody else's newer one, or a new one."""
        with self._lock:
            if self._unstored is not None:
                self._stored(*self._unstored)
            if self._token is not None and self._token is not used and self._token.is_good(self._clock()):
                return self._token
            known = self._store.read()
            if known is None or not known.is_good(self._clock()) or (used and known.access == used.access):
                with self._store.locked() as kept:
                    known = kept.token
                    if (
                        known is None
                        or not known.is_good(self._clock())
                        or (used and known.access == used.access)
                    ):
                        before, known = known, self._granted(known)
                        conceal([known.access, known.refresh])
                        self._unstored = before, known
                        kept.put(known)
                        self._unstored = None
            self._token = known
            return known

    def _stored(self, before: Token | None, token: Token) -> None:
        with self._store.locked() as kept:
            if kept.token == before:
                kept.put(token)
            self._token, self._unstored = kept.token, None

    def _granted(self, known: Token | None) -> Token:
        try:
            token = self._grant(known)
            if not (is_usable(token.access) and (not token.refresh or is_usable(token.refresh))):
                raise ValueError("no token")
            return token
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, msgspec.MsgspecError):
            # Without its words: they may quote the answer, and that may be a token.
            raise SourceError(
                f"{self.system}: the address that gives tokens answered with something else; check the address in the "
                "connection, and that no proxy answers in its place, and try again later",
                retriable=True,
            ) from None


def _unauthorized(response: httpx.Response) -> bool:
    return response.status_code == 401


def is_usable(token: str) -> bool:
    """Whether a text can be a token: visible ASCII characters, which alone a header and the database take."""
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


def token_of(answer: Mapping[str, Any], before: Token | None, now: datetime, **extra: str) -> Token:
    """A token from an OAuth 2 answer; what it leaves out (a refresh token that stays) is kept from before.

    How long it is good (`expires_in`) may be said oddly or not at all: then it is used until it is refused. For an old refresh
    token may be worth nothing now, and the new one counts whatever stands beside it. Raises ValueError where what stands
    for a token is none.
    """
    kept = before or Token("")
    life = _seconds(answer.get("expires_in"))
    said = {name: value for name, value in extra.items() if value.isprintable()}
    more = {name: value for name, value in {**kept.extra, **said}.items() if name != SHORT}
    if life is not None and life < 2 * EARLY:
        more[SHORT] = str(life.total_seconds())
    return replace(
        kept,
        access=_text(answer["access_token"]),
        refresh=_text(answer.get("refresh_token") or kept.refresh),
        expires_at=None if life is None else now + life,
        extra=more,
    )


def _text(token: object) -> str:
    if isinstance(token, bool) or not isinstance(token, str | int):
        raise ValueError("no token")
    return str(token).strip()


def _seconds(given: object) -> timedelta | None:
    """A life in seconds; None where it is none that a token can have."""
    try:
        life = timedelta(seconds=float(given)) if isinstance(given, str | int | float | Decimal) else None
    except (ValueError, OverflowError):
        return None
    return life if life is not None and timedelta(0) < life < LONGEST and given is not True else None
