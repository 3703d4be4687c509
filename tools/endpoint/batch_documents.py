"""How the two services show a batch, and how they read one: JSON data in, JSON data out. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from semprop.tools.endpoint.batches import DAY, MOST, Batch, Fate, File, Row

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Refusal(Exception):
    """A request of these APIs that is none; holds the status, the service's word for it, and the field."""

    def __init__(self, status: int, kind: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.param = status, kind, param


# OpenAI --------------------------------------------------------------------------------------------------------------


def openai_batch(batch: Batch, now: float) -> dict[str, Any]:
    """A batch as OpenAI shows it."""
    created, status = int(batch.wall), _status(batch, now)
    ended = int(batch.wall + (batch.ends - batch.created))
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": list(batch.errors)} if batch.errors and status == "failed" else None,
        "input_file_id": batch.input_file,
        "completion_window": "24h",
        "status": status,
        "output_file_id": batch.output_file,
        "error_file_id": batch.error_file,
        "created_at": created,
        "in_progress_at": created if status != "validating" else None,
        "expires_at": created + DAY,
        "finalizing_at": None,
        "completed_at": ended if status == "completed" else None,
        "failed_at": ended if status == "failed" else None,
        "expired_at": ended if status == "expired" else None,
        "cancelling_at": ended if batch.cancelled is not None else None,
        "cancelled_at": ended if status == "cancelled" else None,
        "request_counts": _counts(batch, now),
        "metadata": None if batch.metadata is None else dict(batch.metadata),
    }


def _status(batch: Batch, now: float) -> str:
    if batch.is_over:
        if batch.errors:
            return "failed"
        if batch.cancelled is not None:
            return "cancelled"
        return "expired" if Fate.EXPIRED in batch.fates else "completed"
    share = batch.share(now)
    return "validating" if share < 0.05 else "in_progress" if share < 0.95 else "finalizing"


def _counts(batch: Batch, now: float) -> dict[str, int]:
    if batch.errors:
        return {"total": 0, "completed": 0, "failed": 0}
    if batch.is_over:
        done = sum(fate in (Fate.ANSWERED, Fate.MISSING) for fate in batch.fates)
        return {"total": len(batch.rows), "completed": done, "failed": len(batch.rows) - done}
    done = sum(row.finish <= batch.share(now) for row in batch.rows)
    return {"total": len(batch.rows), "completed": done, "failed": 0}


def openai_draft(body: bytes, files: Mapping[str, File], now: float, wall: float) -> Batch:
    """What a body of `POST /v1/batches` asks for.

    Raises:
        Refusal: it is none.
    """
    document = object_of(body)
    for name in ("input_file_id", "endpoint", "completion_window"):
        if not isinstance(document.get(name), str):
            raise Refusal(400, "invalid_request_error", f"Missing required parameter: '{name}'.", name)
    file = files.get(document["input_file_id"])
    if file is None or file.purpose != "batch":
        raise Refusal(400, "invalid_request_error", f"No such File object: {document['input_file_id']}", None)
    if document["completion_window"] != "24h":
        raise Refusal(400, "invalid_request_error", "Invalid value for 'completion_window'.", "completion_window")
    metadata = document.get("metadata")
    if metadata is not None and not _is_metadata(metadata):
        raise Refusal(400, "invalid_request_error", "Invalid value for 'metadata'.", "metadata")
    endpoint = document["endpoint"]
    rows, errors = _openai_rows(file.data, endpoint)
    return Batch("", 0, "openai", now, wall, 0.0, rows, file.id, endpoint, metadata, errors)


def _is_metadata(metadata: object) -> bool:
    return (
        isinstance(metadata, dict)
        and len(metadata) <= 16
        and all(len(key) <= 64 and isinstance(value, str) and len(value) <= 512 for key, value in metadata.items())
    )


def _openai_rows(data: bytes, endpoint: str) -> tuple[tuple[Row, ...], tuple[dict[str, Any], ...]]:
    rows: dict[str, Row] = {}
    errors: list[dict[str, Any]] = []
    lines = data.splitlines()
    for number, line in enumerate(lines, 1):
        try:
            read = orjson.loads(line)
        except orjson.JSONDecodeError:
            errors.append(_fault("invalid_json_line", "This line is not parseable as valid JSON.", number))
            continue
        match read:
            case {"custom_id": str(name), "method": "POST", "url": str(url), "body": dict() as body}:
                if name in rows:
                    errors.append(_fault("duplicate_custom_id", f"The custom_id {name} is used twice.", number))
                elif url != endpoint:
                    errors.append(_fault("mismatched_endpoint", "The url is not the batch's endpoint.", number))
                else:
                    rows[name] = Row(name, url, orjson.dumps(body), 0.0, Fate.ANSWERED)
            case _:
                errors.append(_fault("missing_required_parameter", "custom_id, method, url and body.", number))
    if not lines:
        errors.append(_fault("empty_file", "The input file is empty.", None))
    if len(lines) > MOST["openai"]:
        errors.append(_fault("too_many_tasks", f"The input file holds more than {MOST['openai']} requests.", None))
    return tuple(rows.values()), tuple(errors)


def _fault(code: str, message: str, line: int | None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}


# Anthropic -----------------------------------------------------------------------------------------------------------


def anthropic_batch(batch: Batch, origin: str) -> dict[str, Any]:
    """A batch as Anthropic shows it; `origin` is the address that results are fetched from."""
    status = "ended" if batch.is_over else "canceling" if batch.cancelled is not None else "in_progress"
    fates = Counter(batch.fates)
    answered = fates[Fate.ANSWERED] + fates[Fate.MISSING]
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": status,
        # Rows move out of `processing` only once the whole batch is over.
        "request_counts": {
            "processing": 0 if batch.is_over else len(batch.rows),
            "succeeded": answered,
            "errored": fates[Fate.ERRORED],
            "canceled": fates[Fate.CANCELED],
            "expired": fates[Fate.EXPIRED],
        },
        "ended_at": _instant(batch.wall + batch.ends - batch.created) if batch.is_over else None,
        "created_at": _instant(batch.wall),
        "expires_at": _instant(batch.wall + DAY),
        "archived_at": None,
        "cancel_initiated_at": None if batch.cancelled is None else _instant(batch.wall),
        "results_url": f"{origin}/v1/messages/batches/{batch.id}/results" if batch.is_over else None,
    }


def anthropic_draft(body: bytes, now: float, wall: float) -> Batch:
    """What a body of `POST /v1/messages/batches` asks for.

    Raises:
        Refusal: it is none.
    """
    listed = object_of(body).get("requests")
    if not isinstance(listed, list) or not listed:
        raise Refusal(400, "invalid_request_error", "requests: Field required")
    if len(listed) > MOST["anthropic"]:
        raise Refusal(413, "request_too_large", f"a batch holds at most {MOST['anthropic']} requests")
    rows: dict[str, Row] = {}
    for index, item in enumerate(listed):
        match item:
            case {"custom_id": str(name), "params": dict() as params} if _CUSTOM_ID.fullmatch(name):
                if name in rows:
                    raise Refusal(400, "invalid_request_error", f"requests.{index}.custom_id: {name} is used twice")
                rows[name] = Row(name, "/v1/messages", orjson.dumps(params), 0.0, Fate.ANSWERED)
            case _:
                raise Refusal(400, "invalid_request_error", f"requests.{index}: custom_id and params are required")
    return Batch("", 0, "anthropic", now, wall, 0.0, tuple(rows.values()))


def _instant(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


# Both ----------------------------------------------------------------------------------------------------------------


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:
        Refusal: it is none.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, "invalid_request_error", f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Refusal(400, "invalid_request_error", "The body is not a JSON object.")
    return document


def refusal_document(dialect: str, refusal: Refusal) -> dict[str, Any]:
    """A refusal in a service's own shape."""
    if dialect == "anthropic":
        return {"type": "error", "error": {"type": refusal.kind, "message": str(refusal)}, "request_id": "req_batch"}
    error = {"message": str(refusal), "type": refusal.kind, "param": refusal.param, "code": None}
    return {"error": error}
