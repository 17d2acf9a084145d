"""What a connector stumbles over (an exception that is not its word for anything) is an error of its system alone."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec
import psycopg

from mappings import MappingError
from resources.connector import SourceError
from resources.http import mask
from resources.warehouse import WarehouseError

log = logging.getLogger(__name__)

T = TypeVar("T")

READING = "what was read before it is kept, and the run's log has the place"


class Stumbled(SourceError):
    """A connector met what it did not expect. Asking again may help, or may never."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retriable=True)


@contextlib.contextmanager
def stumbles(system: str, remedy: str = READING, *, logged: bool = True) -> Iterator[None]:
    """Whatever unexpected happens in the block comes as Stumbled; trouble of our own database stays what it is.

    `logged`: the place goes to the log, where nobody waits for the answer.
    """
    try:
        yield
    except (SourceError, MappingError, WarehouseError, psycopg.Error):
        raise
    except Exception as error:
        if logged:
            log.error("%s: the connector stumbled\n%s", system, mask(traceback.format_exc()))
        words = mask(str(error))[:200]
        if isinstance(error, msgspec.DecodeError):
            raise Stumbled(
                f"{system}: an answer is not of the form that the vendor documents ({words}); see that the connection's "
                f"address is right and no proxy answers in its place; {remedy}"
            ) from error
        raise Stumbled(
            f"{system}: the connector stumbled over something that it did not expect "
            f"({type(error).__name__}: {words}); {remedy}"
        ) from error


def each(system: str, ask: Callable[[], Iterable[T]]) -> Iterator[T]:
    """What a connector yields, one by one; `ask` is its call."""
    with stumbles(system):
        yield from ask()
