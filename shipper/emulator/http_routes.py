"""The HTTP routes that the platform documents, and the fields that a request's path and query carry.

https://docs.dodil.io/ignite/compute/api-reference/observability and its siblings for apps and drafts; for builds
https://docs.dodil.io/ignite/build/api-reference/builds
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from google.protobuf.descriptor import FieldDescriptor

_APP: Final = "/v1/ignite/app/{organization_name}/{app_name}"
ROUTES: Final = {
    "ListApps": "/v1/ignite/app/{organization_name}",
    "ListAppReplicas": f"{_APP}/replicas",
    "GetAppLogs": f"{_APP}/logs",
    "StreamAppLogs": f"{_APP}/logs/stream",
    "GetAppEvents": f"{_APP}/events",
    "StreamAppEvents": f"{_APP}/events/stream",
    "GetDraftInfo": f"{_APP}/draft",
    "GetBuildLog": f"{_APP}/builds/{{build_id}}/log",
    "StreamCompileLogs": "/v1/ignite/compile/{deploy_id}/logs",
    "ListBuilds": "/v1/ignite/builds",
    "GetBuild": "/v1/ignite/builds/{build_id}",
    "StreamBuildLogs": "/v1/ignite/builds/{build_id}/logs/stream",
    "HealthCheck": "/v1/ignite/health",
}
_PARTS: Final = {name: path.split("/") for name, path in ROUTES.items()}
_TRUTH: Final = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's method and its fields as text, by their names in path and query."""

    method: str
    fields: Mapping[str, str]


def asked(target: str) -> Asked | None:
    """What a request's path and query ask for, None where there is no such route."""
    path, _, query = target.partition("?")
    parts = path.split("/")
    for method, template in _PARTS.items():
        if len(parts) == len(template) and all(
            part == wanted or (wanted[:1] == "{" and part)
            for part, wanted in zip(parts, template, strict=True)
        ):
            inside = {
                wanted[1:-1]: unquote(part)
                for part, wanted in zip(parts, template, strict=True)
                if wanted[:1] == "{"
            }
            return Asked(method, dict(parse_qsl(query, keep_blank_values=True)) | inside)
    return None


def message_of(kind: Any, fields: Mapping[str, str]) -> Any:
    """The request message that the fields make; names are known in both spellings, others are ignored. Raises
    ValueError for a value that is none.
    """
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        for name in (field.name, field.json_name):
            if name in fields:
                setattr(message, field.name, _read(field, fields[name]))
    return message


def _read(field: Any, text: str) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if text.lower() not in _TRUTH:
            raise ValueError(f"{field.name} is no boolean")
        return _TRUTH[text.lower()]
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return text
    return int(text)
