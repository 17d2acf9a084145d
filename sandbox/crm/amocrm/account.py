"""An account of amoCRM: the ids that it shows, its stages, and the switches for what the vendor leaves open."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, time
from typing import Any, Final, Literal, get_args, get_type_hints

from sandbox.company.model import LOST_STAGES, MOSCOW, STAGES, WON_STAGES
from sandbox.desk.base import CAMPAIGNS, EXTRA_STAGES
from sandbox.desk.records import Desk
from sandbox.office import Office

WON, LOST = 142, 143
"""The system statuses, the same ids in every pipeline."""
PRODUCTS, INVOICES = 9645, 9647
"""The catalogues of goods and of invoices."""
RETAIL, WHOLESALE = 555302, 555303
"""The price fields of a product: the vendor keeps a price list as a field of the catalogue."""
FIRST_ID: Final = {
    "employee": 6_100_000, "pipeline": 3_200_000, "stage": 33_000_000, "source": 14_000_000,
    "product": 1_100_000, "invoice": 2_000_000, "client": 40_000_000, "contact": 60_000_000,
    "deal": 17_000_000, "task": 80_000_000,
}  # fmt: skip
UNSORTED: Final = 32_000_000
ADMIN: Final = FIRST_ID["employee"] + 1
"""The user who consented to the integration."""


def id_of(entity: str, number: int) -> int:
    return FIRST_ID[entity] + number


def number_of(entity: str, shown: int) -> int:
    return shown - FIRST_ID[entity]


def source_id(entity: str, number: int) -> str:
    """The id by which a reader of the API knows a record of the desk.

    A stage is `pipeline:status` (142 and 143 stand in every pipeline), a price list is the id of its price
    field, a campaign is what stands in utm_campaign. Lines and prices have no id of their own here.
    """
    if entity == "stage":
        return _stage_id(number)
    if entity == "campaign":
        return CAMPAIGNS[number - 1][0] if number <= len(CAMPAIGNS) else str(number)
    if entity == "price_list":
        return str(RETAIL + number - 1)
    return str(id_of(entity, number)) if entity in FIRST_ID else str(number)


def _stage_id(number: int) -> str:
    """Only the stages that the desk was founded with: what was added later is known to its account alone."""
    stages = [(code, pipeline) for pipeline in STAGES for code in STAGES[pipeline]]
    stages += [(code, pipeline) for code, pipeline, _ in EXTRA_STAGES]
    if number > len(stages):
        return str(id_of("stage", number))
    code, pipeline = stages[number - 1]
    status = WON if code in WON_STAGES else LOST if code in LOST_STAGES else id_of("stage", number)
    return f"{id_of('pipeline', list(STAGES).index(pipeline) + 1)}:{status}"


MissingRows = Literal["refuse", "save_others", "skip"]


@dataclass(slots=True)
class Options:
    """What differs between accounts, and readings of what the vendor does not document.

    filter_api      the alpha filter of leads, contacts and companies; when off it is silently ignored
    minor_units     deals show price_with_minor_units and accept kopecks; when off kopecks are cut off
    missing_rows    a batch names an id that is not there: 400 and nothing is saved (refuse), 400 and the
                    others are saved (save_others), 200 with the others (skip)
    merge_deletes   a merge writes the loser's company_deleted beside entity_merged, whose values are empty
    retry_after     429 names the seconds to wait
    limit_html      429 is a page of the web server instead of problem+json
    admin           the consenting user is an administrator; another one is refused users and webhooks, and is
                    shown only the deals and companies that it answers for, without a word about the others
    paid            the account is paid for; otherwise everything is 402
    early_ends      so many of the next list pages after the first are 204 in mid-list
    gateway_rows    a batch of more rows than this is saved and answered 504 by the web server; 0 for never
    """

    filter_api: bool = True
    minor_units: bool = True
    missing_rows: MissingRows = "refuse"
    merge_deletes: bool = True
    retry_after: bool = False
    limit_html: bool = False
    admin: bool = True
    paid: bool = True
    early_ends: int = 0
    gateway_rows: int = 0

    def changed(self, said: dict[str, Any]) -> Options:
        """Raises ValueError for names and values that there are not."""
        hints = get_type_hints(Options)
        for name, value in said.items():
            if name not in hints:
                raise ValueError(f"no option {name!r}; there are {', '.join(hints)}")
            choices = get_args(hints[name])
            if choices and value not in choices:
                raise ValueError(f"{name} is {value!r}; give one of {', '.join(choices)}")
            if not choices and type(value) is not hints[name]:
                raise ValueError(f"{name} is {value!r}; give a value of type {hints[name].__name__}")
        return Options(**{**asdict(self), **said})


class Account:
    """One office in the vendor's words. Cheap to make: what it keeps stands in the store."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.desk: Desk = office.desk
        self._kept = self.desk.store.collection(f"amocrm.{office.where}")
        self._options = Options()
        self._stages: tuple[int, dict[int, tuple[int, int]]] = (-1, {})
        if (kept := self._kept.get("options")) is not None:
            names = {field.name for field in fields(Options)}
            self._options = Options(**{name: value for name, value in kept.items() if name in names})

    @property
    def id(self) -> int:
        return 30_000_000 + self.desk.portal

    @property
    def subdomain(self) -> str:
        return "severnyisvet" if self.desk.portal == 1 else f"severnyisvet{self.desk.portal}"

    @property
    def options(self) -> Options:
        return self._options

    @options.setter
    def options(self, options: Options) -> None:
        self._options = options
        self._kept.put("options", asdict(options))

    def keep(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Remember something of this account over a restart."""
        self._kept.put(name, value)
        return value

    def kept(self, name: str) -> dict[str, Any] | None:
        return self._kept.get(name)

    # ---- Stages -------------------------------------------------------------------------------

    def statuses(self) -> dict[int, tuple[int, int]]:
        """Stage number -> (pipeline id, status id). The first won and the first lost stage are the system's.

        Deleted ones too: a lead keeps the id of its stage.
        """
        if self._stages[0] != self.desk.version:
            taken: set[tuple[int, int]] = set()
            shown: dict[int, tuple[int, int]] = {}
            for stage in sorted(self.desk.tables["stage"].values(), key=lambda stage: stage.number):
                pipeline = id_of("pipeline", stage.body["pipeline"])
                status = {"won": WON, "lost": LOST}.get(stage.body["outcome"], 0)
                if not status or (pipeline, status) in taken:
                    status = id_of("stage", stage.number)
                taken.add((pipeline, status))
                shown[stage.number] = (pipeline, status)
            self._stages = (self.desk.version, shown)
        return self._stages[1]

    def stage_at(self, pipeline: int, status: int) -> int | None:
        """The desk's number of a living stage, or None."""
        wanted, living = (pipeline, status), {stage.number for stage in self.desk.living("stage")}
        found = (number for number, shown in self.statuses().items() if shown == wanted and number in living)
        return next(found, None)


def unix(at: datetime) -> int:
    return int(at.timestamp())


def unix_day(day: date, at: time = time(0)) -> int:
    """A company's day as the vendor stores it: seconds of an hour of it in the account's time zone."""
    return int(datetime.combine(day, at, MOSCOW).timestamp())


def day_of(seconds: int) -> date:
    return datetime.fromtimestamp(seconds, MOSCOW).date()


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
