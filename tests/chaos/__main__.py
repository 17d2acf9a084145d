"""`python -m tests.chaos`: what `make chaos` runs."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.company import Server, Template
from tests.chaos.faults import KINDS, OF_TARGET, OVERTAKEN
from tests.chaos.points import PLACES
from tests.chaos.run import ALWAYS, KILLS, Tally, run_company
from tests.chaos.targets import TARGETS
from tests.chaos.verdict import BrokenError

DEALS = 60
LONG = 500  # kills of a target after which everything must have come to pass once
MAX_COMPANIES = 10_000  # of one target


def main(arguments: list[str] | None = None) -> int:
    said = _parser().parse_args(arguments)
    seed, _, alone = said.seed.partition(":")
    tallies: dict[str, Tally] = {}
    status = 0
    with tempfile.TemporaryDirectory(prefix="sverka-chaos-") as folder, Server.running() as server:
        try:
            for target in said.target.split(","):
                tallies[target] = Tally()
                try:
                    _run(target, server, Path(folder) / target, seed, alone, said, tallies[target])
                except BrokenError as broken:
                    print(f"\nBROKEN {target}: {broken}", file=sys.stderr, flush=True)
                    status = 1
        except KeyboardInterrupt:
            print(
                "\ninterrupted; the company under way was not checked to its end", file=sys.stderr, flush=True
            )
            status = 130
    print(summary(tallies))
    for target, tally in tallies.items():
        if tally.killed >= LONG and (told := unmet(target, tally)):
            print(f"never tried in {target}: {', '.join(told)}", file=sys.stderr)
            status = status or 1
    return status


def unmet(target: str, tally: Tally) -> list[str]:
    """Places and faults of this target that never came to pass: what a long run is there to try."""
    postings = ("posting", "unposting")
    places = [place for place in PLACES if target == "onec" or not place.startswith(postings)]
    faults = [*KINDS, OVERTAKEN, *ALWAYS, *OF_TARGET.get(target, ())]
    return [what for what in places if not tally.kills[what]] + [
        what for what in faults if not tally.faults[what]
    ]


def _run(
    target: str, server: Server, folder: Path, seed: str, alone: str, said: argparse.Namespace, tally: Tally
) -> None:
    template = Template.make(target, server, folder, said.deals)
    if alone:
        run_company(template, int(alone), seed, min(said.runs, KILLS), tally, _progress(target, said.runs))
        return
    for number in range(MAX_COMPANIES):
        if (left := said.runs - tally.killed) <= 0 or tally.seconds > said.minutes * 60:
            return
        run_company(template, number, seed, min(left, KILLS), tally, _progress(target, said.runs))


def _progress(target: str, runs: int) -> Callable[[str], None]:
    began = time.monotonic()

    def say(told: str) -> None:
        if sys.stderr.isatty():
            print(
                f"\r\x1b[K{target} {told} (of {runs}, {time.monotonic() - began:.0f} s)",
                end="",
                file=sys.stderr,
                flush=True,
            )
        elif " 1 kills" in f" {told}" or int(told.split()[0]) % 5 == 0:
            print(f"{target} {told} (of {runs})", file=sys.stderr, flush=True)

    return say


_COUNTS = {
    "kills": "KILLS, BY PLACE",
    "writes": "UNSETTLED WHEN KILLED, BY KIND",
    "faults": "FAULTS THAT CAME TO PASS",
}


def summary(tallies: dict[str, Tally]) -> str:
    """A table: kills by point and by what was under way, faults by kind, documents checked, seconds."""
    rows = [("", *tallies)]
    for name, title in _COUNTS.items():
        counts = [getattr(tally, name) for tally in tallies.values()]
        rows.append((title, *[str(sum(found.values())) for found in counts]))
        rows += [
            (what, *[str(found[what]) for found in counts]) for what in sorted({w for c in counts for w in c})
        ]
    for name in ("loaders", "companies", "documents", "seconds"):
        rows.append((name, *[f"{getattr(tally, name):.0f}" for tally in tallies.values()]))
    return "\n".join(f"{row[0]:<36}" + "".join(f"{cell:>12}" for cell in row[1:]) for row in rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", default="1", help="any word; SEED:NUMBER replays one company alone")
    parser.add_argument("--runs", type=int, default=1000, help="kills of loaders, for each target")
    parser.add_argument(
        "--target", default=",".join(TARGETS), help="one of onec, sap, quickbooks, or several with commas"
    )
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="of each target, after which no company is begun"
    )
    parser.add_argument("--deals", type=int, default=DEALS, help="of a company")
    return parser


if __name__ == "__main__":
    sys.exit(main())
