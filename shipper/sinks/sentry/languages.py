"""What Sentry calls the language of a stack trace, and which of its calls are the app's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shipper.entry import CodeFrame


@dataclass(frozen=True, slots=True)
class Language:
    """`platform` is one of Sentry's (https://develop.sentry.dev/sdk/foundations/transport/event-payloads/#platform).

    A frame is foreign, of the runtime or a library, where its file has one of `files` in it or its module or function
    begins with one of `names`. `dotted_types`: the name of an exception's type begins with its module.
    """

    platform: str
    files: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    dotted_types: bool = False

    def is_own(self, frame: CodeFrame) -> bool:
        """Whether the app's own code is called there, as far as its text tells."""
        file = frame.file.replace("\\", "/")
        if any(part in file for part in self.files):
            return False
        return not (
            self.names and (frame.module.startswith(self.names) or frame.function.startswith(self.names))
        )


LANGUAGES: Final[Mapping[str, Language]] = {
    "python": Language(
        "python", ("/site-packages/", "/dist-packages/", "/lib/python", "<frozen "), dotted_types=True
    ),
    "java": Language(
        "java",
        (),
        ("java.", "javax.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.", "scala."),
        dotted_types=True,
    ),
    "go": Language(
        "go", ("/pkg/mod/", "/go/src/", "/libexec/src/"), ("runtime.", "panic(", "created by runtime.")
    ),
    "node": Language("node", ("/node_modules/", "node:", "internal/")),
    "rust": Language(
        "native",
        ("/rustc/", "/.cargo/registry/"),
        ("std::", "core::", "alloc::", "rust_begin_unwind", "<core::", "<alloc::"),
    ),
    "dotnet": Language("csharp", (), ("System.", "Microsoft."), dotted_types=True),
}
OTHER: Final = Language("other")


def language_of(name: str) -> Language:
    """By the name that `Failure.language` has for it."""
    return LANGUAGES.get(name, OTHER)
