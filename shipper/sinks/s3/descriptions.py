"""What botocore knows of AWS, less what this sink never asks for: one megabyte of memory in place of twelve.

botocore describes AWS in JSON files and keeps all that they say: the endpoints of 400 services in every region, and
115 operations of S3 with their documentation. A file that is not built as expected is kept as it is.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from sys import intern
from typing import Any, Final

from botocore.loaders import JSONFileLoader

# By their names in endpoints.json: S3, and whom the credential chain asks (STS, IAM Identity Center, sign-in).
_SERVICES: Final = frozenset(("s3", "sts", "portal.sso", "oidc", "signin"))
# CreateSession is what the client itself calls for a directory bucket (S3 Express).
_OPERATIONS: Final = ("PutObject", "HeadObject", "HeadBucket", "ListObjectsV2", "CreateSession")
_UNPACKED: Final[Mapping[str, Callable[[bytes], bytes]]] = {".json": bytes, ".json.gz": gzip.decompress}


class TerseFiles(JSONFileLoader):
    """botocore's reader of its files (`Loader.file_loader`), which reads tersely. Safe to call from a thread."""

    def load_file(self, file_path: str) -> Any:
        """What is in the file of that name, given without its extension; None where there is none."""
        for extension, unpacked in _UNPACKED.items():
            file = Path(file_path + extension)
            if file.is_file():
                return read(Path(file_path), unpacked(file.read_bytes()))
        return super().load_file(file_path)  # type: ignore[no-untyped-call]


def read(path: Path, content: bytes) -> Any:
    """The content of one file; `path` says which it is."""
    match path.parts[-3:]:
        case [*_, "endpoints"]:
            return _Endpoints().read(content)
        case [*_, "examples-1"]:
            return {}  # for the documentation alone
        case ["s3", _, "service-2"]:
            return _few_operations(json.loads(content, object_pairs_hook=_terse))
        case _:
            return json.loads(content, object_pairs_hook=_terse)


def _terse(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without prose, and with equal texts once in memory."""
    return {
        key: ("" if key == "documentation" else intern(value)) if isinstance(value, str) else value
        for key, value in pairs
    }


class _Endpoints:
    """Reads endpoints.json, where partitions have services, and these have endpoints.

    Objects are met from the inside out, a service before its name. Until that is known it is kept packed: 400 of them
    as small objects would leave four megabytes of holes.
    """

    def __init__(self) -> None:
        self._packed = 0

    def read(self, content: bytes) -> Any:
        data = json.loads(content, object_pairs_hook=self._met)
        return json.loads(content, object_pairs_hook=_terse) if self._packed else data

    def _met(self, pairs: list[tuple[str, Any]]) -> dict[str, Any] | str:
        found = _terse(pairs)
        if "endpoints" in found:
            self._packed += 1
            return json.dumps(found)
        services = found.get("services")
        if isinstance(services, dict):
            self._packed -= sum(isinstance(service, str) for service in services.values())
            found["services"] = {
                name: json.loads(service, object_pairs_hook=_terse) if isinstance(service, str) else service
                for name, service in services.items()
                if name in _SERVICES
            }
        return found


def _few_operations(model: Any) -> Any:
    """The model of S3 with few operations, and only the shapes that these reach."""
    match model:
        case {"operations": {**operations}, "shapes": {**shapes}} if operations.keys() >= set(_OPERATIONS):
            return model | _reached(operations, shapes)
    return model


def _reached(operations: Mapping[Any, Any], shapes: Mapping[Any, Any]) -> dict[str, Any]:
    few = {name: operations[name] for name in _OPERATIONS}
    reached: set[str] = set()
    ahead: list[Any] = [few]
    while ahead:
        item = ahead.pop()
        if isinstance(item, dict):
            shape = item.get("shape")
            if isinstance(shape, str) and shape in shapes and shape not in reached:
                reached.add(shape)
                ahead.append(shapes[shape])
            ahead.extend(item.values())
        elif isinstance(item, list):
            ahead.extend(item)
    return {"operations": few, "shapes": {name: shapes[name] for name in shapes if name in reached}}
