from pathlib import Path
from typing import Any
from sandbox.company import Company
from sandbox.store import Store


def drop(company: Company, folder: Path, store: Store) -> dict[str, Any]:
    return {}


def truth(company: Company, store: Store) -> dict[str, Any]:
    return {}
