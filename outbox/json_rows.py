"""Rows as one JSON parameter, for statements that write a batch.

Guarantee: a batch of any size is one placeholder, its columns typed by the statement; a tenth of what one array per
column costs in the driver. Not guaranteed: that a value fits its column's type; Postgres says so.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID


def recordset(columns: Mapping[str, str]) -> str:
    """The FROM item of a batch: its rows under the name `new`, with `place`, their position from 1.

    `columns` are names and types. It takes one parameter: `as_json` of the rows.
    """
    typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    return f"ROWS FROM (json_to_recordset(%s::json) AS ({typed})) WITH ORDINALITY AS new({', '.join(columns)}, place)"


def as_json(rows: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> str:
    """The parameter: UUIDs and times as text, which Postgres reads again; JSON columns as they are.

    Raises TypeError for a value that is none of these.
    """
    return json.dumps(rows, default=_text)


def _text(value: object) -> str:
    match value:
        case UUID():
            return value.hex
        case datetime():
            return value.isoformat()
    raise TypeError(f"{type(value).__name__} is nothing that JSON or this project's columns hold: {value!r}")
