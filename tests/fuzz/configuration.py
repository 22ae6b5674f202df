"""Fuzz target: a configuration file of any bytes gives settings or problems, none of which shows a secret."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Final

from shipper.config.load import examine
from tests.fuzz.target import Target

_EXAMPLES: Final = Path(__file__).parents[2] / "config"
SECRET: Final = "s3cr3t-0f-the-fuzzer"
_ENVIRONMENT: Final = {
    "DODIL_SERVICE_ACCOUNT_ID": "id",
    "DODIL_SERVICE_ACCOUNT_SECRET": SECRET,
    "DODIL_TOKEN": SECRET,
    "DD_API_KEY": SECRET,
    "SENTRY_DSN": f"https://{SECRET}@sentry.example/1",
}
_FOLDER: Final = tempfile.TemporaryDirectory(
    prefix="shipper-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None
)
_FILE: Final = Path(_FOLDER.name) / "shipper.yaml"


def configuration(data: bytes) -> str:
    """Settings, or what is wrong with them; secrets of the environment are in neither the words nor the excerpts."""
    _FILE.write_bytes(data)
    examined = examine(_FILE, _ENVIRONMENT)
    for problem in examined.problems:
        assert problem.line >= 0
        assert problem.column >= 0
        shown = f"{problem.message} {problem.excerpt} {problem.path}"
        assert SECRET not in shown, "a secret is shown"
        assert len(shown) < 20_000
    if examined.settings is not None:
        return f"settings, {min(len(examined.problems), 2)}"
    first = re.sub(r"'.*?'|\d+|\".*?\"", "…", examined.problems[0].message)
    return first[:24]


def _sections() -> list[bytes]:
    """The examples, and full.yaml section by section with what every configuration needs."""
    least = (_EXAMPLES / "minimal.yaml").read_bytes()
    full = (_EXAMPLES / "full.yaml").read_text()
    plain = re.sub(r"(?m)\s+#.*$|^#.*\n", "", full)
    parts = re.split(r"(?m)^(?=[a-z]+:)", plain)
    seeds = [least, *(part.encode() for part in parts if part.strip())]
    seeds += [
        least + part.encode() for part in parts if part.split(":")[0] in ("routes", "redact", "read", "log")
    ]
    return seeds


TARGETS: Final = (
    Target(
        "configuration",
        "configuration files",
        _sections(),
        configuration,
        words=[
            b"${DODIL_TOKEN}",
            b"${",
            b"${DODIL_TOKEN:-x}",
            b"${file:/nowhere}",
            b"${file:}",
            b"$${",
            b"&a ",
            b"*a",
            b"<<: ",
            b"!!python/object:os.system ",
            b"!x ",
            b": ",
            b"\n  ",
            b"- ",
            b"{",
            b"}",
            b"[",
            b"]",
            b"|\n",
            b"%YAML 9.9\n---\n",
            b"\t",
            b"\xef\xbb\xbf",
            b"\xff",
            b"\x00",
            b"\xe2\x80\xa8",
            b"'",
            b'"',
            b"#",
            b"? ",
            b"~",
            b"1e9",
            b"10GiB",
            b"0s",
            b"-1",
            b"(((",
            b"(?P<level>x)",
            b"a{1000}{1000}",
            b"\ntype: ",
            b"\nsinks:\n",
            b"\nroutes:\n",
            b"99999999999999999999999999s",
        ],
    ),
)
