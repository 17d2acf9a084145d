"""The REST API put together: which resource answers which path, composites over them, limits and headers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from sandbox.crm.salesforce import describe as describing
from sandbox.crm.salesforce.bulk import INGEST_JOBS, QUERY_JOBS, Bulk
from sandbox.crm.salesforce.messages import Messages
from sandbox.crm.salesforce.objects import organization
from sandbox.crm.salesforce.query import PAGE, SMALLEST_PAGE, Library
from sandbox.crm.salesforce.rest import (
    NEWEST,
    OLDEST,
    Answer,
    Call,
    Options,
    Refusal,
    Setting,
    decode,
    encode,
    missing,
    unsupported,
)  # fmt: skip
from sandbox.crm.salesforce.rows import Rows
from sandbox.crm.salesforce.write import Writer
from sandbox.office import Office, Window

DAILY, PER_LICENCE, DAY = 100_000, 1_000, 86_400.0
NO_LIMIT: Final = 1 << 60
MAX_SUBREQUESTS: Final = 25
MAX_COMPOSITE_QUERIES: Final = 5
MAX_URL: Final = 16_384
_REFERENCE: Final = re.compile(r"@\{([A-Za-z]\w*)((?:\.\w+|\[\d+\])*)\}")
_BATCH: Final = re.compile(r"batchSize\s*=\s*(\d+)", re.I)
Handler = Callable[..., Answer]


@dataclass
class Server:
    """One organization's REST API. `answer` takes a call that has passed the door."""

    office: Office
    options: Options

    def __post_init__(self) -> None:
        self.setting = Setting(self.office, self.options)
        self.org = organization(self.office.desk)
        self.library = Library(self.setting, self.org)
        self.rows = Rows(self.setting, self.org, self.library, Writer(self.setting, self.org))
        self.bulk = Bulk(self.setting, self.library, self.rows)
        self.messages = Messages(self.office, self.org)
        self._resources = self._table()

    def versions(self) -> list[dict[str, str]]:
        """GET /services/data, which needs no token."""
        return [
            {"label": f"Version {number}", "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
            for number in range(OLDEST, NEWEST + 1)
        ]

    def daily(self) -> Window:
        """The allocation of a day."""
        licences = len(self.office.desk.living("employee"))
        limit = self.options.daily_requests or DAILY + PER_LICENCE * licences
        window = self.office.window("daily", limit, DAY)
        window.limit = limit if self.office.limited or self.options.daily_requests else NO_LIMIT
        return window

    def usage(self) -> str:
        """What the header Sforce-Limit-Info says."""
        window = self.daily()
        return f"api-usage={window.granted}/{min(window.limit, self._allocation())}"

    def answer(self, call: Call) -> Answer:
        """Raises Refusal."""
        path = call.path.strip("/")
        for methods, pattern, handler in self._resources:
            found = pattern.fullmatch(path)
            if found is not None:
                if call.method not in methods:
                    words = f"HTTP Method '{call.method}' not allowed. Allowed are {','.join(methods)}"
                    raise Refusal(405, "METHOD_NOT_ALLOWED", words)
                return handler(call, *found.groups())
        raise missing()

    def _allocation(self) -> int:
        return self.options.daily_requests or DAILY + PER_LICENCE * len(self.office.desk.living("employee"))

    def _table(self) -> list[tuple[tuple[str, ...], re.Pattern[str], Handler]]:
        rows, bulk = self.rows, self.bulk
        name, part = r"(\w+)", r"([^/]+)"
        table: list[tuple[str, str, Handler]] = [
            ("GET", "", self._root),
            ("GET", "query", lambda call: self._query(call, deleted=False)),
            ("GET", "queryAll", lambda call: self._query(call, deleted=True)),
            ("GET", rf"query(?:All)?/{part}", lambda call, locator: Answer(body=self.library.more(locator))),
            ("GET", "limits", self._limits),
            ("GET", "sobjects", lambda call: Answer(200, describing.everything(self.org, call.base))),
            ("GET POST", rf"sobjects/{name}", self._object),
            ("GET", rf"sobjects/{name}/describe", self._describe),
            ("GET", rf"sobjects/{name}/deleted", rows.deleted),
            ("GET", rf"sobjects/{name}/updated", rows.updated),
            ("GET PATCH DELETE", rf"sobjects/{name}/{part}", rows.row),
            ("GET PATCH DELETE", rf"sobjects/{name}/{name}/{part}", rows.keyed),
            ("POST PATCH DELETE", "composite/sobjects", rows.collection),
            ("GET POST", rf"composite/sobjects/{name}", rows.retrieve),
            ("PATCH", rf"composite/sobjects/{name}/{name}", rows.upserts),
            ("POST", rf"composite/tree/{name}", rows.tree),
            ("POST", "composite/batch", self._batch),
            ("POST", "composite", self._composite),
            ("POST GET", r"jobs/(query|ingest)", self._jobs),
            ("GET PATCH DELETE", rf"jobs/(query|ingest)/{part}", bulk.job),
            ("GET", rf"jobs/query/{part}/results", bulk.results),
            ("PUT", rf"jobs/ingest/{part}/batches", bulk.upload),
            ("GET", rf"jobs/ingest/{part}/(successful[Rr]esults|failed[Rr]esults|unprocessed[Rr]ecords)",
             bulk.outcome),
            ("GET", rf"ui-api/object-info/{name}/picklist-values/{part}/{name}", self._picklist),
            ("POST", r"tooling/sobjects/WorkflowOutboundMessage", self.messages.create),
            ("GET DELETE", rf"tooling/sobjects/WorkflowOutboundMessage/{part}", self.messages.one),
        ]  # fmt: skip
        return [(tuple(methods.split()), re.compile(pattern), handler) for methods, pattern, handler in table]

    # ---- resources ----------------------------------------------------------------------------------

    def _root(self, call: Call) -> Answer:
        names = ("query", "queryAll", "sobjects", "limits", "composite", "jobs", "tooling")
        return Answer(200, {name: f"{call.base}/{name}" for name in names})

    def _query(self, call: Call, *, deleted: bool) -> Answer:
        said = call.query.get("q")
        if not said:
            raise Refusal(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null")
        wanted = _BATCH.search(call.headers.get("sforce-query-options", ""))
        page = max(SMALLEST_PAGE, min(PAGE, int(wanted[1]))) if wanted else PAGE
        return Answer(body=self.library.ask(said, call.base, deleted=deleted, page=page))

    def _limits(self, call: Call) -> Answer:
        daily = self.daily()
        most = min(daily.limit, self._allocation())
        used = {
            "DailyApiRequests": (most, daily.granted),
            "DailyBulkV2QueryJobs": (QUERY_JOBS, self.office.window("bulk_query", QUERY_JOBS, DAY).granted),
            "DailyBulkApiBatches": (INGEST_JOBS, self.office.window("bulk_ingest", INGEST_JOBS, DAY).granted),
            "DailyBulkV2QueryFileStorageMB": (976_562, 0),
            "DataStorageMB": (10_240, 100),
            "HourlyODataCallout": (20_000, 0),
        }
        return Answer(
            200, {name: {"Max": limit, "Remaining": max(limit - n, 0)} for name, (limit, n) in used.items()}
        )

    def _object(self, call: Call, name: str) -> Answer:
        if call.method == "POST":
            return self.rows.create(call, name)
        return Answer(200, describing.basic(self.rows.target(name), call.base))

    def _describe(self, call: Call, name: str) -> Answer:
        target = self.rows.target(name)
        return Answer(200, describing.describe(self.org, target, self.library.visible(target), call.base))

    def _picklist(self, call: Call, name: str, record_type: str, found: str) -> Answer:
        return Answer(
            200, describing.picklist(self.org, self.rows.target(name), record_type, found, call.base)
        )

    def _jobs(self, call: Call, kind: str) -> Answer:
        return self.bulk.create(call, kind) if call.method == "POST" else self.bulk.listed(call, kind)

    # ---- several calls in one -----------------------------------------------------------------------

    def inner(self, call: Call, method: str, url: str, body: Any, headers: Mapping[str, str]) -> Answer:
        """A call inside a composite: refusals become its answer. It costs nothing of the day's allocation."""
        parts = urlsplit(url)
        found = re.fullmatch(r"/?(?:services/data/)?v(\d\d\.0)/(.*)", parts.path)
        if found is None:
            return Answer(404, missing().body())
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        data = encode(body) if body is not None else b""
        lower = {key.lower(): str(value) for key, value in headers.items()}
        if re.match(r"composite/?(batch/?)?$", found[2]):
            return Answer(
                400, Refusal(400, "INVALID_INPUT", "a composite inside a composite is not allowed").body()
            )
        try:
            return self.answer(Call(method.upper(), found[1], found[2], query, data, lower))
        except Refusal as refusal:
            return Answer(refusal.status, refusal.body())

    def _batch(self, call: Call) -> Answer:
        said = call.described()
        wanted = said.get("batchRequests")
        if not isinstance(wanted, list) or len(wanted) > MAX_SUBREQUESTS:
            raise Refusal(400, "LIMIT_EXCEEDED", f"batchRequests must be a list of at most {MAX_SUBREQUESTS}")
        results: list[dict[str, Any]] = []
        halted = False
        for one in wanted:
            if halted:
                error = {
                    "errorCode": "BATCH_PROCESSING_HALTED",
                    "message": "Batch processing halted as requested",
                }
                results.append({"statusCode": 412, "result": [error]})
                continue
            answer = self.inner(call, one.get("method", "GET"), one.get("url", ""), one.get("richInput"), {})
            results.append({"statusCode": answer.status, "result": _value(answer)})
            halted = bool(said.get("haltOnError")) and answer.status >= 400
        return Answer(200, {"hasErrors": any(r["statusCode"] >= 400 for r in results), "results": results})

    def _composite(self, call: Call) -> Answer:
        said = call.described()
        wanted = said.get("compositeRequest")
        if not isinstance(wanted, list) or len(wanted) > MAX_SUBREQUESTS:
            raise Refusal(
                400, "LIMIT_EXCEEDED", f"compositeRequest must be a list of at most {MAX_SUBREQUESTS}"
            )
        if said.get("allOrNone"):
            raise unsupported("allOrNone over a whole composite")
        heavy = [
            one for one in wanted if re.search(r"/(query|queryAll|composite/sobjects)\b", str(one.get("url")))
        ]
        if len(heavy) > MAX_COMPOSITE_QUERIES:
            words = f"at most {MAX_COMPOSITE_QUERIES} subrequests may be queries or sObject collections"
            raise Refusal(400, "LIMIT_EXCEEDED", words)
        known: dict[str, Any] = {}
        results: list[dict[str, Any]] = []
        for one in wanted:
            reference = str(one.get("referenceId") or "")
            try:
                url, body = _filled(one.get("url", ""), known), _filled(one.get("body"), known)
                answer = self.inner(call, one.get("method", "GET"), url, body, one.get("httpHeaders") or {})
            except Refusal as refusal:
                answer = Answer(refusal.status, refusal.body())
            value = _value(answer)
            if answer.status < 400:
                known[reference] = value
            results.append({
                "body": value, "httpHeaders": dict(answer.headers), "httpStatusCode": answer.status,
                "referenceId": reference,
            })  # fmt: skip
        return Answer(200, {"compositeResponse": results})


def _value(answer: Answer) -> Any:
    """An answer's content as a value, to stand inside another's."""
    content = answer.content()
    if not content:
        return None
    return decode(content) if answer.kind.startswith("application/json") else content.decode()


def _filled(value: Any, known: Mapping[str, Any]) -> Any:
    """`@{reference.field}` replaced by what the earlier subrequest answered."""
    if isinstance(value, dict):
        return {key: _filled(inner, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, known) for inner in value]
    if not isinstance(value, str) or "@{" not in value:
        return value

    def found(said: re.Match[str]) -> str:
        here: Any = known.get(said[1])
        for name, place in re.findall(r"\.(\w+)|\[(\d+)\]", said[2]):
            try:
                here = here[name] if name else here[int(place)]
            except (KeyError, IndexError, TypeError):
                here = None
        if here is None:
            raise Refusal(
                400, "PROCESSING_HALTED", f"Invalid reference specified. No value for {said[0]} found"
            )
        return str(here)

    return _REFERENCE.sub(found, value)
