"""`list` and `versions`: tables whose columns the API server prints, as for `kubectl get`."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from modelyard.api.rules import DEPLOYMENT, KINDS, MODEL_VERSION, Kind
from modelyard_cli import kinds, screen
from modelyard_cli.connection import Api, Raw
from modelyard_cli.exits import Exit, Stop
from modelyard_cli.options import Format

AS_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
WATCH_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Request:
    """Which objects to list, and how."""

    word: str = ""
    """The kind; empty means all three."""
    everywhere: bool = False
    """In all namespaces."""
    selector: str = ""
    model: str = ""
    form: Format = Format.TABLE

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds to list."""
        return (kinds.kind_of(self.word),) if self.word else KINDS

    def query(self, kind: Kind) -> dict[str, str]:
        """Return the query of a LIST; a deployment's model is not selectable."""
        query = {"labelSelector": self.selector} if self.selector else {}
        if self.model and kind.selectable_fields:
            query["fieldSelector"] = f"spec.modelName={self.model}"
        return query


@dataclass(slots=True)
class Listed:
    """The table of one kind."""

    kind: Kind
    columns: list[Raw]
    rows: list[Raw]
    version: str
    """What a watch continues from."""


async def list_objects(api: Api, request: Request) -> Exit:
    """Print the objects, newest first."""
    if request.form in {Format.JSON, Format.YAML}:
        found = await asyncio.gather(*(_objects(api, request, kind) for kind in request.kinds))
        items = [screen.without_noise(raw) for group in found for raw in group]
        screen.dump({"apiVersion": "v1", "kind": "List", "items": items}, request.form)
        return Exit.REACHED
    tables = await asyncio.gather(*(_table(api, request, kind) for kind in request.kinds))
    filled = [table for table in tables if table.rows]
    if not filled:
        where = "in any namespace" if request.everywhere else f"in namespace {api.namespace}"
        screen.note(f"nothing found {where}")
    for number, table in enumerate(filled):
        if request.form is Format.NAME:
            print("\n".join(_names(table)))
            continue
        if number:
            screen.tell("")
        screen.show(_printed(table, request, headed=len(request.kinds) > 1))
    return Exit.REACHED


async def watch_objects(api: Api, request: Request) -> Exit:
    """Print the objects of one kind, then one line for each change, until somebody ends it.

    Raises:
        Stop: no kind is named.
    """
    if not request.word:
        remedy = "name trainings, versions or deployments"
        raise Stop(Exit.USAGE, "--watch is about one kind", remedy)
    if request.form not in {Format.TABLE, Format.WIDE}:
        text = f"--watch prints lines of a table, and no {request.form}"
        raise Stop(Exit.USAGE, text, "leave one of them out")
    (kind,) = request.kinds
    path, table = _path(api, request, kind), await _table(api, request, kind)
    print(_line(table, request, None))
    told: dict[str, str] = {}
    for row in reversed(table.rows):
        _tell(table, request, row, told)
    while True:  # a watch ends after a while, and the next one continues it
        query = {**_rows_query(request, kind), "resourceVersion": table.version}
        query |= {"watch": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        async for line in api.lines(path, accept=AS_TABLE, **query):
            event = json.loads(line)
            if event["type"] == "ERROR":
                table = await _table(api, request, kind)
                break
            for row in _of_model(request, kind, event["object"]["rows"]):
                table.version = row["object"]["metadata"]["resourceVersion"]
                _tell(table, request, row, told)


def _tell(table: Listed, request: Request, row: Raw, told: dict[str, str]) -> None:
    """Print a row, unless it reads as before."""
    uid, line = row["object"]["metadata"]["uid"], _line(table, request, row)
    if told.get(uid) != line:
        told[uid] = line
        print(line, flush=True)


def _path(api: Api, request: Request, kind: Kind) -> str:
    return kinds.path_of(kind, "" if request.everywhere else api.namespace)


async def _objects(api: Api, request: Request, kind: Kind) -> list[Raw]:
    listed = await api.get(_path(api, request, kind), **request.query(kind))
    rows = _of_model(request, kind, [{"object": raw} for raw in listed["items"]])
    return sorted((row["object"] for row in rows), key=_age, reverse=True)


async def _table(api: Api, request: Request, kind: Kind) -> Listed:
    query = _rows_query(request, kind)
    listed = await api.get(_path(api, request, kind), accept=AS_TABLE, **query)
    rows = _of_model(request, kind, listed["rows"])
    rows.sort(key=lambda row: _age(row["object"]), reverse=True)
    version = str(listed["metadata"]["resourceVersion"])
    return Listed(kind, listed["columnDefinitions"], rows, version)


def _rows_query(request: Request, kind: Kind) -> dict[str, str]:
    return {**request.query(kind), "includeObject": "Object"}


def _age(raw: Raw) -> tuple[str, str]:
    """Order objects by age; of one second, by name, which a version's number ends."""
    return str(raw["metadata"]["creationTimestamp"]), str(raw["metadata"]["name"])


def _of_model(request: Request, kind: Kind, rows: list[Raw]) -> list[Raw]:
    """Leave out deployments of other models, which no field selector can."""
    if not request.model or kind is not DEPLOYMENT:
        return rows
    return [row for row in rows if _serves(row["object"], request.model)]


def _serves(raw: Raw, model: str) -> bool:
    status, spec = raw.get("status") or {}, raw.get("spec") or {}
    stable = (status.get("stable") or {}).get("modelName")
    named = str(spec.get("modelVersionName", "")).rpartition("-v")[0]
    return model in {stable, named}


def _names(table: Listed) -> Iterable[str]:
    word = f"{table.kind.name.lower()}.modelyard.dev"
    return (f"{word}/{row['object']['metadata']['name']}" for row in table.rows)


def _shown(table: Listed, request: Request) -> list[int]:
    """Return the columns that the format has."""
    wide = request.form is Format.WIDE
    return [n for n, column in enumerate(table.columns) if wide or not column.get("priority")]


def _printed(table: Listed, request: Request, headed: bool) -> Table:
    """Return a table for the terminal."""
    shown = _shown(table, request)
    heads = [table.columns[number]["name"] for number in shown]
    if headed:
        heads[0] = table.kind.plural.removeprefix("model").rstrip("s")
    rows = [[_cell(table, row, number) for number in shown] for row in table.rows]
    if request.everywhere:
        heads.insert(0, "namespace")
        for row, cells in zip(table.rows, rows, strict=True):
            cells.insert(0, Text(row["object"]["metadata"]["namespace"]))
    return screen.table(heads, rows)


def _cell(table: Listed, row: Raw, number: int) -> Text:
    value = row["cells"][number]
    text = "" if value is None else str(value)
    if table.columns[number]["name"] == "Phase" and text:
        return screen.phased(text)
    return Text(text, "bold" if number == 0 else "")


def _line(table: Listed, request: Request, row: Raw | None) -> str:
    """Return a row, or the header, as a line of even columns."""
    cells = []
    for number in _shown(table, request):
        column = table.columns[number]
        value = column["name"].upper() if row is None else row["cells"][number]
        width = max(9, len(column["name"]) + 2) if number else 24
        cells.append(("" if value is None else str(value)).ljust(width))
    if request.everywhere:
        place = "NAMESPACE" if row is None else row["object"]["metadata"]["namespace"]
        cells.insert(0, str(place).ljust(16))
    return " ".join(cells).rstrip()


async def versions_of(api: Api, model: str, form: Format) -> Exit:
    """Print the versions of a model, newest first."""
    return await list_objects(api, Request(MODEL_VERSION.plural, model=model, form=form))
