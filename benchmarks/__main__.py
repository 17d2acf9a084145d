"""`python -m benchmarks [names ...] [--quick]`: measure, print each figure beside its bound, keep it as JSON."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, keep, print_table
from benchmarks.place import ROOT, Place, bench_home

# In the order in which they are run, by file.
BENCHMARKS: Final = {
    "reading": "1. Reading a portal into raw, beside dlt and beside doing nothing else",
    "limits": "2. Reading under the vendor's limits, beside fast-bitrix24",
    "road": "3. From raw to marts, beside a plain COPY of the same records",
    "increment": "4. A thousand changed deals on a long and on a short history",
    "runs": "5. What Dagster costs",
    "crms": "6. Reading the other CRMs, a table each",
    "carry": "7. Carrying documents into each accounting system, beside the bound of its limits",
    "plan": "8. Planning ten thousand changed deals of a million",
    "identity": "9. Records of one client found, beside exact matching and Splink",
    "identity_speed": "10. Records of one client found among a million",
    "identity_store": "11. A thousand new records of clients in PostgreSQL, beside a million",
    "payments": "12. Payments without a reference, matched with what they pay",
    "reconcile": "13. A million documents of each side reconciled, with reasons",
    "marts": "14. Every mart over a million deals, beside DuckDB, and after a thousand changes",
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="name",
        help=f"of {', '.join(BENCHMARKS)}; all without one. carry:sap,onec: of these systems alone; marts:100000: of so many deals",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the sizes: shows that it works, no more"
    )
    parser.add_argument(
        "--home", type=Path, default=None, help="default: bench in SVERKA_HOME, else .sverka/bench"
    )
    said = parser.parse_args(arguments)
    if unknown := [name for name in said.names if name.partition(":")[0] not in BENCHMARKS]:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    home = said.home or bench_home()
    missed = 0
    for name in said.names or BENCHMARKS:
        started = time.monotonic()
        name, _, parts = name.partition(":")
        module = importlib.import_module(f"benchmarks.{name}")
        only = {"only": parts.split(",")} if parts else {}
        with Place(home) as place:
            figures: list[Figure] = module.run(place, quick=said.quick, **only)
        seconds = time.monotonic() - started
        if not getattr(module, "PRINTS_TABLES", False):
            print_table(BENCHMARKS[name], figures, seconds)
        path = keep(home, "-".join([name, *only.get("only", ())]), figures, seconds, quick=said.quick)
        print(f"kept in {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}\n", flush=True)
        missed += sum(figure.verdict == "not met" for figure in figures)
    print("every bound is met" if not missed else f"{missed} bounds are not met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
