"""The service over HTTP: tokens, company, limits, the path, the answer in JSON or XML.

Limits of the vendor: 500 requests a minute and 10 a second for a company, batches 40 a minute of an app and 120
of a company. A refusal is 429 with the gateway's body and no time to wait.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sandbox.accounting.quickbooks import cdc, fault, reading, reports, writing
from sandbox.accounting.quickbooks.fault import Barred, Refused
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.kinds import BY_PATH, Kind
from sandbox.accounting.quickbooks.query import parse
from sandbox.accounting.quickbooks.values import Row, decode, encode, moment_now, xml
from sandbox.latency import Latency

_log = logging.getLogger(__name__)
HOST: Final = "https://sandbox-quickbooks.api.intuit.com"
JSON: Final = "application/json;charset=UTF-8"
MINUTE, SECOND, BATCH, BATCH_COMPANY = (
    "requests_minute",
    "requests_second",
    "batch_minute",
    "batch_minute_company",
)
MOST_MINUTE, MOST_SECOND, MOST_BATCH, MOST_BATCH_COMPANY = 500, 10, 40, 120


class Gate:
    """One company's service."""

    def __init__(self, file: CompanyFile) -> None:
        self.file, self.books = file, file.books
        self._at_once = 0

    async def __call__(self, request: Request) -> Response:
        latency = Latency()
        answer = self._answer(request, await request.body())
        await latency.over(self.books.latency)
        return answer

    def _answer(self, request: Request, body: bytes) -> Response:
        file, books = self.file, self.books
        books.requests += 1
        tid = f"1-{int(file.now()):x}-{uuid.uuid4().hex[:24]}"
        headers = {"intuit_tid": tid, "qbo-version": "2026.11"}
        wants_xml = file.options.xml and "json" not in request.headers.get("accept", "")
        time = moment_now(file.now())
        try:
            self._admit(request)
            with books.store.together():
                said = self._serve(request, body)
        except Barred as barred:
            return Response(encode(barred.body(int(file.now() * 1000))), barred.status, headers, JSON)
        except (AttributeError, KeyError, TypeError, ValueError):
            _log.exception("a request that the stand-in cannot read")
            refused = fault.broken()
            return Response(encode(refused.body(time)), refused.status, headers, JSON)
        except Refused as refused:
            if wants_xml:
                return Response(
                    xml(refused.body(time), time), refused.status, headers, "application/xml;charset=UTF-8"
                )
            return Response(encode(refused.body(time)), refused.status, headers, JSON)
        if isinstance(said, Response):
            said.headers.update(headers)
            return said
        if wants_xml:
            answer = decode(said if isinstance(said, bytes) else encode(said))
            return Response(xml(answer, time), 200, headers, "application/xml;charset=UTF-8")
        return Response(said if isinstance(said, bytes) else encode(said), 200, headers, JSON)

    def _admit(self, request: Request) -> None:
        """Raises Barred: wrong token (401), another company (403), too many (429)."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self.books.tokens.accepts(token):
            raise fault.token_refused(token)
        if request.path_params["realm"] != self.file.realm:
            raise fault.wrong_realm()
        path = request.path_params["rest"]
        windows = [(MINUTE, MOST_MINUTE, 60.0), (SECOND, MOST_SECOND, 1.0)]
        if path.strip("/") == "batch":
            windows += [(BATCH, MOST_BATCH, 60.0), (BATCH_COMPANY, MOST_BATCH_COMPANY, 60.0)]
        for name, limit, seconds in windows:
            if self.books.window(name, limit, seconds).knock():
                raise fault.throttled()
        if self.file.options.monthly and request.method == "GET":
            month = f"month:{self.file.today[:7]}"
            used = int(self.file.settings.get(month, {"used": 0})["used"]) + 1
            if used > self.file.options.monthly:
                raise fault.throttled()
            self.file.settings.put(month, {"used": used})

    def _serve(self, request: Request, body: bytes) -> Row | bytes | Response:
        file, path = self.file, request.path_params["rest"].strip("/")
        params, method = request.query_params, request.method
        parts = path.split("/")
        time = moment_now(file.now())
        if path == "query":
            text = params.get("query") if method == "GET" else None
            text = text if text is not None else body.decode("utf-8", "replace")
            return {"QueryResponse": reading.answer(file, parse(text)), "time": time}
        if path == "cdc" and method == "GET":
            return {"CDCResponse": [cdc.answer(file, params)], "time": time}
        if parts[0] == "reports" and len(parts) == 2 and method == "GET":
            return reports.answer(file, parts[1], params)
        if path == "exchangerate" and method == "GET":
            return {"ExchangeRate": _rate(file, params), "time": time}
        if path == "batch" and method == "POST":
            return self._once(params, lambda: {**writing.batch(file, _json(body)), "time": time},
                              remembers=file.options.requestid_batch)  # fmt: skip
        kind = BY_PATH.get(parts[0])
        if kind is None:
            raise self._unsupported(request)
        if method == "POST" and len(parts) == 1:
            operation, include = params.get("operation", ""), params.get("include", "")

            def work() -> Row:
                row = writing.write(file, kind, _json(body), operation, include)
                return {kind.name: writing.shown(file, kind, row), "time": time}

            return self._once(params, work)
        if method == "POST" and len(parts) == 3 and parts[2] == "send":
            return {kind.name: self._sent(kind, parts[1], params.get("sendTo", "")), "time": time}
        if method == "GET" and len(parts) == 2:
            return {kind.name: self._one(kind, parts[1]), "time": time}
        if method == "GET" and len(parts) == 1 and kind.mode == "one":
            return {kind.name: self._one(kind, ""), "time": time}
        if method == "GET" and len(parts) == 3 and parts[2] == "pdf" and kind.mode == "txn":
            self._one(kind, parts[1])
            return Response(b"%PDF-1.4\n%%EOF\n", 200, media_type="application/pdf")
        raise self._unsupported(request)

    def _once(self, params: Mapping[str, str], work: Any, *, remembers: bool = True) -> bytes:
        """Do a write, or give the first answer again to a requestid that was seen."""
        key = writing.request_id(params.get("requestid", ""))
        if key and remembers and (known := writing.remembered(self.file, key)) is not None:
            return known
        answer: bytes = encode(work())
        if key and remembers:
            writing.remember(self.file, key, answer)
        return answer

    def _one(self, kind: Kind, key: str) -> Row:
        if kind.mode == "one":
            row = self.file.get(kind.name, "1") if key in ("", "1", self.file.realm) else None
        else:
            if not key.isdigit() and key not in self.file.shelves[kind.name].rows:
                raise fault.invalid_id(key)
            row = self.file.get(kind.name, key)
        if row is None:
            raise fault.not_found()
        return reading.show(self.file, kind.name, row)

    def _sent(self, kind: Kind, key: str, address: str) -> Row:
        row = dict(self._one(kind, key))
        if address:
            row["BillEmail"] = {"Address": address}
        row["EmailStatus"] = "EmailSent"
        row["DeliveryInfo"] = {"DeliveryType": "Email", "DeliveryTime": moment_now(self.file.now())}
        return self.file.change(kind.name, row, what="Emailed")

    def _unsupported(self, request: Request) -> Refused:
        path = f"/v3/company/{self.file.realm}/{request.path_params['rest']}"
        return fault.unsupported(path, f"{HOST}{path}")


def _rate(file: CompanyFile, params: Mapping[str, str]) -> Row:
    said = {name.lower(): value for name, value in params.items()}
    code, day = said.get("sourcecurrencycode", ""), said.get("asofdate", file.today)
    if not code:
        raise fault.missing("sourcecurrencycode")
    if code != file.home and file.settings.get(f"rates:{code}") is None:
        raise fault.Refused(
            "2220", "Invalid Currency Type", f"Invalid Currency Type : {code}", "sourcecurrencycode"
        )
    row = file.get("ExchangeRate", f"{code}:{day}") or {
        "SourceCurrencyCode": code, "TargetCurrencyCode": file.home, "Rate": file.rate(code, day), "AsOfDate": day,
        "domain": "QBO", "sparse": False, "MetaData": {"LastUpdatedTime": moment_now(file.now())},
    }  # fmt: skip
    return reading.show(file, "ExchangeRate", row)


def _json(body: bytes) -> Any:
    try:
        return decode(body)
    except msgspec.DecodeError as error:
        text = f"Property Name:Can not parse the request body: {error} specified is unsupported or invalid"
        raise Refused("2010", "Request has invalid or unsupported property", text, None) from None
