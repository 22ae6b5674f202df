"""A token in a file that something else renews: read again when it changes, kept while it cannot be read."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from shipper.ignite.auth import TokenFile
from shipper.ignite.status import CallFailed, Code


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("first\n")
    return file


async def test_the_token_is_what_the_file_holds_without_its_newline(path: Path) -> None:
    assert await TokenFile(path).token() == "first"


async def test_a_file_that_changed_is_read_again(path: Path) -> None:
    tokens = TokenFile(path)
    await tokens.token()
    path.write_text("other")
    assert await tokens.token() == "other"


async def test_a_file_that_was_exchanged_as_kubernetes_does_is_read_again(path: Path, tmp_path: Path) -> None:
    tokens = TokenFile(path)
    await tokens.token()
    stat = path.stat()
    new = tmp_path / "new"
    new.write_text("fresh\n")
    os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    new.rename(path)
    assert await tokens.token() == "fresh"


async def test_a_refused_token_makes_the_file_be_read_though_it_looks_the_same(path: Path) -> None:
    tokens = TokenFile(path)
    await tokens.token()
    stat = path.stat()
    with path.open("r+") as file:
        file.write("again")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert await tokens.token() == "first"
    tokens.refuse("first")
    assert await tokens.token() == "again"


@pytest.mark.parametrize("content", [b"", b"two words", b"two\nlines", b"caf\xc3\xa9", b"\xff\xfe"])
async def test_what_is_no_token_is_refused_without_showing_it(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CallFailed) as failure:
        await TokenFile(path).token()
    assert failure.value.status.code is Code.UNAUTHENTICATED
    assert str(path) in str(failure.value)
    assert "words" not in str(failure.value)


async def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CallFailed, match=r"cannot read the token file .*absent: No such file"):
        await TokenFile(tmp_path / "absent").token()


async def test_the_last_token_stays_in_use_while_the_file_is_unusable_and_that_is_said_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = TokenFile(path)
    await tokens.token()
    path.unlink()
    assert [await tokens.token() for _ in range(5)] == ["first"] * 5
    path.write_text("")  # half written
    assert await tokens.token() == "first"
    path.write_text("second")
    assert await tokens.token() == "second"
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert all("the last token stays in use" in text for text in warnings)


async def test_a_file_that_is_missing_for_a_moment_and_comes_back_unchanged_is_well(path: Path) -> None:
    tokens = TokenFile(path)
    await tokens.token()
    hidden = path.rename(path.with_name("hidden"))
    await tokens.token()
    hidden.rename(path)
    await tokens.token()
    assert tokens._problem == ""


def test_the_token_is_not_in_the_repr(path: Path) -> None:
    assert "first" not in repr(TokenFile(path, "first"))
