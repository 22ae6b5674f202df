"""How the emulated HTTP gateway writes JSON: nothing of it is documented for streams, so every form can be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final

HEADER: Final = "x-emulator-style"  # of a request: words as in `HttpStyle.parsed`, for this call alone


class Form(StrEnum):
    """How the messages of a stream follow each other."""

    NDJSON = "ndjson"  # one a line
    RESULT = "result"  # one a line, each as {"result": …}, as grpc-gateway does
    ARRAY = "array"  # the elements of one array, as Envoy's transcoder does
    SSE = "sse"  # server-sent events
    OBJECTS = "objects"  # one right after the other
    ENVELOPED_ARRAY = "enveloped-array"  # {"data": [ … ], "status": "success"}


@dataclass(frozen=True, slots=True)
class HttpStyle:
    """The defaults are what the platform's documentation shows of answers, and NDJSON for streams."""

    form: Form = Form.NDJSON
    envelope: bool = False  # {"data": …, "status": "success"} around each answer and message
    snake: bool = False  # field names as in the .proto
    numbers: bool = False  # 64-bit integers as numbers
    enum_numbers: bool = False
    sparse: bool = False  # default values are left out
    keep_alive_s: float = 15.0  # a stream that is silent for so long gets a blank line, or a comment

    def parsed(self, words: str) -> HttpStyle:
        """This style with changes, given as words with commas between: a form, `keep-alive=SECONDS`, or the name of a
        flag. Raises ValueError.
        """
        style = self
        for word in filter(None, (word.strip() for word in words.split(","))):
            name, _, value = word.partition("=")
            if name == "keep-alive":
                style = replace(style, keep_alive_s=float(value))
            elif word in list(Form):
                style = replace(style, form=Form(word))
            elif word in _FLAGS:
                style = replace(style, **_FLAGS[word])
            else:
                known = ", ".join((*Form, *_FLAGS, "keep-alive=SECONDS"))
                raise ValueError(f"{word!r} is no style of HTTP; there are {known}")
        return style


_FLAGS: Final[Mapping[str, Mapping[str, Any]]] = {
    flag.name.replace("_", "-"): {flag.name: True} for flag in fields(HttpStyle) if flag.type == "bool"
}
