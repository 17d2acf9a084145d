"""What stands around a desk whatever the vendor: tokens, limits, webhooks sent out, and the faults of its mount.

A vendor's stand-in is one module of the package `sandbox.crm` with

    TRAITS: Traits                                            what that CRM can hold
    def routes(office: Office) -> list[BaseRoute]             its protocol, relative to its mount
    def connection(office: Office, base: str) -> dict         what one types into a mapping file's connection
    def source_id(entity: str, number: int) -> str            the id that it shows for a number of the desk
    def hook(office, happening) -> list[Letter]               webhooks about it (optional)

and is found by its name; nothing else lists vendors. A long one is a folder: `stand_in.py` and its parts.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

from sandbox.desk.records import Desk, Happening
from sandbox.faults import Faults
from sandbox.store import Store

OFFERED: Final = (
    "TRAITS",
    "connection",
    "routes",
    "source_id",
)  # and `hook`, where the vendor sends webhooks
MAX_LETTERS: Final = 10_000
HOOK_SECONDS: Final = 5.0


def vendors() -> dict[str, ModuleType]:
    """The stand-ins of this package by name, in alphabetical order."""
    import sandbox.crm as package

    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if "_" not in module.name)
    modules = {name: importlib.import_module(f"sandbox.crm.{name}") for name in names}
    for name, module in modules.items():
        lacking = [given for given in OFFERED if not hasattr(module, given)]
        if lacking:
            raise TypeError(
                f"sandbox.crm.{name} offers no {', '.join(lacking)}; see the top of sandbox/office.py"
            )
    return modules


@dataclass(frozen=True, slots=True)
class Letter:
    """A webhook to be sent: where, and what."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Tokens:
    """Access and refresh tokens that the stand-in gave out, kept over a restart.

    `refresh` with `rotate` kills the refresh token that was shown; a killed one is refused for ever. The clock
    is the machine's own (seconds since 1970), so `expire` is how a test lets a token grow old.
    """

    def __init__(
        self, store: Store, name: str, *, access_seconds: float, clock: Callable[[], float] = time.time
    ):
        self._rows = store.collection(f"tokens.{name}")
        self._store, self._name, self._clock = store, name, clock
        self.access_seconds = access_seconds
        self.refreshes = 0  # how many times a refresh token was shown, good or bad

    def issue(self, prefix: str = "", *, refresh: bool = True) -> dict[str, Any]:
        """A new pair (or an access token alone): {"access_token", "refresh_token"?, "expires_in"}."""
        number = self._store.counter(f"tokens.{self._name}")
        rng = random.Random(f"{self._name}:{number}")
        access = f"{prefix}at-{number}-{rng.getrandbits(96):024x}"
        self._rows.put(access, {"kind": "access", "until": self._clock() + self.access_seconds})
        said: dict[str, Any] = {"access_token": access, "expires_in": int(self.access_seconds)}
        if refresh:
            token = f"{prefix}rt-{number}-{rng.getrandbits(96):024x}"
            self._rows.put(token, {"kind": "refresh", "until": None})
            said["refresh_token"] = token
        return said

    def accepts(self, access: str) -> bool:
        row = self._rows.get(access)
        return row is not None and row["kind"] == "access" and row["until"] > self._clock()

    def refresh(self, token: str, prefix: str = "", *, rotate: bool) -> dict[str, Any] | None:
        """A new access token for a living refresh token; None for any other."""
        self.refreshes += 1
        row = self._rows.get(token)
        if row is None or row["kind"] != "refresh":
            return None
        if rotate:
            self._rows.delete(token)
            return self.issue(prefix)
        return {**self.issue(prefix, refresh=False), "refresh_token": token}

    def expire(self) -> int:
        """Let every access token be too old from now on."""
        living = [key for key, row in self._rows.items() if row["kind"] == "access"]
        for key in living:
            self._rows.put(key, {"kind": "access", "until": 0.0})
        return len(living)

    def revoke(self) -> int:
        """Take every token back, as an administrator does who removes the integration."""
        found = list(self._rows)
        for key in found:
            self._rows.delete(key)
        return len(found)


class Window:
    """So many requests in so many seconds, counted over a sliding window, and how close it came."""

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self.seconds, self._clock = limit, seconds, clock
        self._times: deque[float] = deque()
        self.granted = self.denied = self.peak = 0
        self.first = self.last = 0.0

    def knock(self) -> float:
        """0.0 and counted; or the seconds after which a place is free, and not counted."""
        now = self._clock()
        while self._times and self._times[0] <= now - self.seconds:
            self._times.popleft()
        if len(self._times) >= self.limit:
            self.denied += 1
            return max(self._times[0] + self.seconds - now, 0.001)
        self._times.append(now)
        self.granted += 1
        self.peak = max(self.peak, len(self._times))
        self.first, self.last = self.first or now, now
        return 0.0

    def usage(self) -> dict[str, Any]:
        return {
            "limit": self.limit, "seconds": self.seconds, "granted": self.granted, "denied": self.denied,
            "peak": self.peak, "over": self.last - self.first,
        }  # fmt: skip

    def forget(self) -> None:
        self._times.clear()
        self.granted = self.denied = self.peak = 0
        self.first = self.last = 0.0


@dataclass
class Office:
    """One CRM's surroundings. `where` is the name of its mount, by which faults are set."""

    desk: Desk
    faults: Faults
    where: str
    secret: str
    limited: bool = True
    latency: float = 0.0
    windows: dict[str, Window] = field(default_factory=dict)
    hooks: list[dict[str, Any]] = field(
        default_factory=list
    )  # what was registered for webhooks, vendor's own shape
    letters: list[Letter] = field(default_factory=list)
    requests: int = 0  # answered since the start, refusals included
    tokens: Tokens = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = Tokens(self.desk.store, self.where, access_seconds=86_400.0)
        self._hooks = self.desk.store.collection(f"hooks.{self.where}")
        self.hooks += [row["hook"] for row in self._hooks.values()]

    @property
    def client_id(self) -> str:
        return f"sverka-{self.where}"

    @property
    def client_secret(self) -> str:
        return self.named("client")

    def named(self, what: str) -> str:
        """A secret of this office: the same for the same sandbox and name."""
        return f"{random.Random(f'{self.secret}:{self.where}:{what}').getrandbits(128):032x}"

    def window(self, name: str, limit: int, seconds: float) -> Window:
        """The limiter of this name, made on first use; without limits it grants everything and still counts."""
        found = self.windows.get(name)
        if found is None:
            found = self.windows[name] = Window(limit if self.limited else 1 << 60, seconds)
        return found

    def subscribe(self, key: str, hook: dict[str, Any]) -> None:
        """Remember a registered webhook, in the vendor's own shape."""
        self.unsubscribe(key)
        self._hooks.put(key, {"hook": hook})
        self.hooks.append(hook)

    def unsubscribe(self, key: str) -> bool:
        row = self._hooks.get(key)
        if row is None:
            return False
        self._hooks.delete(key)
        self.hooks.remove(row["hook"])
        return True

    def watch(self, hook: Callable[[Office, Happening], Sequence[Letter]]) -> None:
        """Write a letter about everything that happens from now on; `deliver` sends them."""

        def write(happening: Happening) -> None:
            if self.hooks and len(self.letters) < MAX_LETTERS:
                self.letters += hook(self, happening)

        self.desk.listeners.append(write)

    async def deliver(
        self, *, lose: float = 0.0, repeat: float = 0.0, shuffle: bool = False, seed: int = 0
    ) -> dict[str, int]:
        """Send what waits: a share is lost, a share is sent twice, and all of it out of order if told so."""
        import httpx  # at the first letter: a sandbox is started often, and hardly ever asked for any

        rng = random.Random(seed)
        waiting, self.letters = self.letters, []
        chosen: list[Letter] = []
        for letter in waiting:
            if rng.random() >= lose:
                chosen += [letter] * (2 if rng.random() < repeat else 1)
        if shuffle:
            rng.shuffle(chosen)
        counts = {"written": len(waiting), "sent": 0, "accepted": 0}
        async with httpx.AsyncClient(timeout=HOOK_SECONDS, trust_env=False) as client:
            for letter in chosen:
                counts["sent"] += 1
                try:
                    answer = await client.post(letter.url, content=letter.body, headers=dict(letter.headers))
                    counts["accepted"] += answer.is_success
                except httpx.HTTPError:
                    pass
        return counts
