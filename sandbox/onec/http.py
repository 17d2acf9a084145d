"""The HTTP side of the base: credentials, formats, methods, answers and errors.

HTTP Basic only. JSON when `$format=json` or `Accept: application/json` asks for it, else atom-xml. Answers of
POST and PATCH show DataVersion null, as in the developer guide: read the object again before `If-Match`.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec
from starlette.types import Receive, Scope, Send

from sandbox.latency import Latency
from sandbox.onec.address import Address, Segment, arguments, read_address
from sandbox.onec.atom import ENTRY_TYPE, FEED_TYPE, entry, feed
from sandbox.onec.base import Base, PreconditionError
from sandbox.onec.conduct import LONG_REFUSAL
from sandbox.onec.error import (
    BAD_URL,
    DIRECT_ROW,
    FORMAT,
    HTTP_METHOD,
    NO_ACCESS,
    NO_INSTANCE,
    NO_METHOD,
    NO_PROPERTY,
    OPTION,
    PARSE,
    ODataError,
    error_body,
    refusal,
)
from sandbox.onec.metadata import metadata, service_json, service_xml
from sandbox.onec.model import EntitySet, Row
from sandbox.onec.query import Answer, Options, Shape, count_set, read_rows, read_set, record_set
from sandbox.onec.register import RECORDS, virtual_table
from sandbox.onec.release import kept_names
from sandbox.onec.tables import parameters_of
from sandbox.onec.values import kept

USER, PASSWORD = "sverka", "sverka"
MAX_TARGET = 8190  # bytes of a request line's address, the default bound of the web server before 1C
MAX_BODY = 64 * 1024 * 1024
JSON = "application/json;charset=utf-8"
_EXPECTED = b"Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode())
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_TOO_LONG = (
    b"<html><head><title>414 Request-URI Too Long</title></head><body>Request-URI Too Long</body></html>"
)


@dataclass(slots=True)
class Reply:
    status: int
    content_type: str = JSON
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


class Service:
    """ASGI application of one base; mount it so that `path` is what follows `standard.odata/`."""

    def __init__(self, base: Base, latency: float = 0.0) -> None:
        self._base, self._latency = base, latency

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        latency = Latency()
        body = await _body(receive)
        if (seconds := self._base.conduct.latency) > 0:
            await asyncio.sleep(seconds)
        reply = self.answer(scope, body)
        await latency.over(self._latency)
        headers = [
            (b"content-type", reply.content_type.encode()),
            (b"content-length", str(len(reply.body)).encode()),
            (b"dataserviceversion", b"3.0"),
            *reply.headers,
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    def answer(self, scope: Scope, body: bytes) -> Reply:
        headers = {name.lower(): value for name, value in scope["headers"]}
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_TARGET:
            return Reply(414, "text/html", _TOO_LONG)
        if headers.get(b"authorization") != _EXPECTED:
            return unauthorized()
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        call = _Call(self._base, scope, query, headers, body)
        try:
            return call.reply()
        except ODataError as refused:
            kind, text = error_body(refused.code, refused.text, json=call.json)
            return Reply(refused.status, kind, text)
        except PreconditionError:
            kind, text = error_body(
                "-1", "Версия объекта не совпадает с переданной в If-Match.", json=call.json
            )
            return Reply(412, kind, text)


def unauthorized() -> Reply:
    """What the web server extension says without valid credentials."""
    challenge = (b"www-authenticate", b'Basic realm="1C:Enterprise 8.3"')
    return Reply(401, "text/html;charset=utf-8", "Пользователь не аутентифицирован".encode(), [challenge])


class _Call:
    """One request behind the door."""

    def __init__(
        self, base: Base, scope: Scope, query: Mapping[str, str], headers: Mapping[bytes, bytes], body: bytes
    ) -> None:
        self._base, self._query, self._headers, self._body = base, query, headers, body
        self._method = scope["method"]
        self._path = scope["path_params"]["path"]
        prefix = scope["path"][: len(scope["path"]) - len(self._path)]
        host = headers.get(b"host", b"127.0.0.1").decode("latin-1")
        self._address = f"{scope['scheme']}://{host}{prefix}"
        wanted = query.get("$format", "")
        accepted = headers.get(b"accept", b"").decode("latin-1")
        self.json = "json" in wanted or (not wanted and "application/json" in accepted)
        self._plain = "odata=nometadata" in (wanted or accepted).replace(" ", "")

    def reply(self) -> Reply:
        path = self._path.strip("/")
        if path in ("", "$metadata"):
            return self._document(path)
        address = read_address(path, self._base.sets)
        self._check_rights(address.entity)
        if self._method == "GET":
            return self._get(address)
        if self._method == "POST":
            return self._post(address)
        if self._method in ("PATCH", "PUT", "MERGE", "DELETE"):
            return self._change(address)
        raise _forbidden()

    def _check_rights(self, entity: EntitySet) -> None:
        right = "read" if self._method == "GET" else "write"
        if self._base.conduct.take("no_rights", entity.owner or entity.name, right=right) is not None:
            verb = "Чтение" if right == "read" else "Изменение"
            raise ODataError(
                NO_ACCESS, f'Нарушение прав доступа! Недостаточно прав: {verb}, "{entity.object_name}".'
            )

    def _document(self, path: str) -> Reply:
        if self._method != "GET":
            raise _forbidden()
        if path:
            return Reply(200, "application/xml;charset=utf-8", metadata(self._base))
        if self.json:
            return Reply(200, JSON, _encode(service_json(self._address, self._base.sets)))
        return Reply(
            200, "application/atomsvc+xml;charset=utf-8", service_xml(self._address, self._base.sets)
        )

    # GET

    def _get(self, address: Address) -> Reply:
        entity = address.entity
        if address.key is not None:
            return self._single(entity, address.key, address.rest)
        if not address.rest:
            answer = read_set(
                self._base, entity, Options.read(self._query), links=self._links, json=self.json
            )
            return self._collection(entity.name, answer)
        step = address.rest[0]
        if len(address.rest) > 1:
            raise ODataError(BAD_URL, "Обнаружены лишние сегменты!")
        if step.name == "$count":
            number = count_set(self._base, entity, self._query.get("$filter", ""))
            return Reply(200, "text/plain;charset=utf-8", str(number).encode())
        return self._function(entity, step)

    def _function(self, entity: EntitySet, step: Segment) -> Reply:
        owner = entity.name
        if owner.startswith("InformationRegister_"):  # slices are asked of the records too
            owner = owner.removesuffix("_RecordType")
        known = self._base.columns.get(owner, {}).get(step.name)
        if known is None or not self._sliced_here(entity, owner):
            raise ODataError(NO_METHOD, f'Метод "{step.name}" не найден.')
        register = self._base.sets[owner]
        given = {
            name: self._query[name] for name in parameters_of(register, step.name) if name in self._query
        }
        given |= arguments(step.arguments)
        options = Options.read(self._query)
        if step.name == RECORDS:  # as clients of live bases found it
            if "$skip" in self._query:
                raise ODataError(OPTION, "Ошибка разбора опций запроса: $skip")
            options = replace(options, orderby="")
        rows = virtual_table(self._base, register, step.name, given)
        answer = read_rows(self._base, known, rows, options)
        return self._collection(f"{owner}_{step.name}", answer)

    def _sliced_here(self, entity: EntitySet, owner: str) -> bool:
        register, reading = self._base.sets[owner], self._base.reading("slices")
        if register.register != "information" or not register.recorded or reading == "both":
            return True
        return (entity.name != owner) == (reading == "records")

    def _single(self, entity: EntitySet, key: Mapping[str, str], rest: tuple[Segment, ...]) -> Reply:
        row = self._find(entity, key)
        if rest:
            return self._along(entity, row, rest)
        options = Options(select=self._query.get("$select", ""))
        if "RecordSet" not in entity.tables:
            row = Shape(self._base, entity, options, links=self._links).shown(row)
        return self._entity(entity.name, row)

    def _find(self, entity: EntitySet, key: Mapping[str, str]) -> Row:
        found: Row | None = None
        if entity.name in self._base.rows:
            found = self._base.get(entity.name, key["Ref_Key"])
            found = None if found is None else self._base.shown(entity, found)
        elif "RecordSet" in entity.tables:
            found = record_set(self._base, entity, key["Recorder"])
        else:
            terms = " and ".join(_term(entity, name, value) for name, value in key.items())
            rows = read_set(self._base, entity, Options(filter=terms, top=1)).rows
            found = rows[0] if rows else None
        if found is None:
            text = f'Экземпляр сущности "{entity.object_name}" не найден по переданному ключу.'
            raise ODataError(NO_INSTANCE, text)
        return found

    def _along(self, entity: EntitySet, row: Row, rest: tuple[Segment, ...]) -> Reply:
        """Data "through the point": `Document_X(guid'..')/Валюта/Description`, or a tabular part."""
        full = self._base.full(entity, row)
        step, further = rest[0].name, rest[1:]
        if step in entity.tables and not further:
            return self._collection(f"{entity.name}_{step}", Answer(list(full[step])))
        prop = entity.navigations.get(step)
        if prop is not None and prop.target in self._base.rows:
            target = self._base.sets[prop.target]
            found = self._find(target, {"Ref_Key": full[prop.name]})
            if further:
                return self._along(target, found, further)
            return self._entity(
                target.name, Shape(self._base, target, Options(), links=self._links).shown(found)
            )
        if step in entity.properties and not further:
            shown = {"odata.metadata": f"{self._address}$metadata#{entity.name}/{step}", "value": full[step]}
            return Reply(200, JSON, _encode(shown))
        raise ODataError(NO_PROPERTY, f'Сегмент пути "{step}" не найден!')

    # POST, PATCH, PUT, DELETE

    def _post(self, address: Address) -> Reply:
        entity = address.entity
        if address.rest:
            return self._action(address)
        if entity.owner:
            raise ODataError(DIRECT_ROW, "Создание строк табличных частей напрямую не поддерживается.")
        if address.key is not None:
            raise _forbidden()
        if entity.name in self._base.info:
            return self._entity(entity.name, self._base.enter(entity, self._read_body()), 201)
        if entity.name not in self._base.rows:
            raise _forbidden()
        body, lost = self._half(entity, self._read_body())
        row = {**self._base.create(entity, body), **lost}
        place = f"{self._address}{entity.name}(guid'{row['Ref_Key']}')"
        location = quote(place, safe=":/()'").encode()
        return self._written(entity, row, 201, [(b"location", location)])

    def _action(self, address: Address) -> Reply:
        step = address.rest[0]
        if step.name not in ("Post", "Unpost") or address.key is None or len(address.rest) > 1:
            raise ODataError(NO_METHOD, f'Метод "{step.name}" не найден.')
        if (
            step.name == "Post"
            and (order := self._base.conduct.take("refuse", address.entity.name)) is not None
        ):
            raise refusal(f"Не удалось провести документ!\n{order.text or LONG_REFUSAL}")
        act = self._base.post if step.name == "Post" else self._base.unpost
        act(address.entity, address.key["Ref_Key"])
        return Reply(200)

    def _change(self, address: Address) -> Reply:
        entity = address.entity
        if address.key is None or address.rest or entity.name not in self._base.rows:
            raise _forbidden()
        key = address.key["Ref_Key"]
        sent = self._headers.get(b"if-match")
        match = sent.decode("latin-1") if sent is not None else None
        if self._method == "DELETE":
            self._base.delete(entity, key, match)
            return Reply(204)
        if match is not None and self._base.conduct.take("meanwhile", entity.name) is not None:
            self._base.touch(entity, key)
            self._base.record(f"touch:{key}:{match}", act="touch", set=entity.name, document=key)
        body, lost = self._half(entity, self._read_body())
        row = self._base.update(entity, key, body, replace=self._method == "PUT", match=match)
        return self._written(entity, {**row, **lost}, 200, [])

    def _half(self, entity: EntitySet, body: Row) -> tuple[Row, Row]:
        """(what is saved, what the answer shows all the same): all and nothing, unless told to save half."""
        order = self._base.conduct.take("half", entity.name)
        if order is None or order.table not in body:
            return body, {}
        lost = kept(entity, {order.table: body[order.table]})
        return {name: value for name, value in body.items() if name != order.table}, kept_names(entity, lost)

    def _read_body(self) -> Row:
        kind = self._headers.get(b"content-type", b"").decode("latin-1")
        if "json" not in kind and "json" not in self._query.get("$format", ""):
            raise ODataError(FORMAT, "Неверный формат запроса: ожидается application/json.")
        try:
            body = _decode(self._body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ODataError(PARSE, "Не удалось разобрать строку тела запроса.") from None
        if not isinstance(body, dict):
            raise ODataError(FORMAT, "Неверный формат запроса: ожидается объект.")
        return body

    def _written(self, entity: EntitySet, row: Row, status: int, headers: list[tuple[bytes, bytes]]) -> Reply:
        row = self._base.shown(entity, row)
        shown = Shape(self._base, entity, Options(), links=self._links).shown(row)
        reply = self._entity(entity.name, {**shown, "DataVersion": None})
        reply.status = status
        reply.headers += headers
        return reply

    # Answers

    @property
    def _links(self) -> bool:
        return self.json and not self._plain

    def _collection(self, name: str, answer: Answer) -> Reply:
        if not self.json:
            return Reply(200, FEED_TYPE, feed(self._address, name, answer.rows, answer.count))
        shown: dict[str, Any] = {}
        if not self._plain:
            shown["odata.metadata"] = f"{self._address}$metadata#{name}"
        if answer.count is not None:
            shown["odata.count"] = str(answer.count)
        shown["value"] = answer.rows
        return Reply(200, JSON, _encode(shown))

    def _entity(self, name: str, row: Row, status: int = 200) -> Reply:
        if not self.json:
            return Reply(status, ENTRY_TYPE, entry(self._address, name, row))
        head = {} if self._plain else {"odata.metadata": f"{self._address}$metadata#{name}/@Element"}
        return Reply(status, JSON, _encode({**head, **row}))


def _term(entity: EntitySet, name: str, value: str) -> str:
    edm = entity.properties[name].edm
    if name == "Recorder":
        return f"{name} eq '{value}'"
    if edm == "Edm.Guid":
        return f"{name} eq guid'{value}'"
    if edm == "Edm.DateTime":
        return f"{name} eq datetime'{value}'"
    if edm == "Edm.Int64":
        if not value.strip("'").isdigit():
            raise ODataError(PARSE, f"Не удалось разобрать строку: {value[:60]}")
        return f"{name} eq {value}"
    quoted = value.replace("'", "''")
    return f"{name} eq '{quoted}'"


def _forbidden() -> ODataError:
    return ODataError(HTTP_METHOD, "Использованный HTTP-метод запрещен в данном контексте.")


async def _body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BODY:
            chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
