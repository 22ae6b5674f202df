"""An answer of the platform that a person can mend says what to do."""

from __future__ import annotations

import pytest

from shipper.ignite.advice import advised
from shipper.ignite.status import Code, Status


@pytest.mark.parametrize(
    ("code", "setting"),
    [
        (Code.UNAUTHENTICATED, "ignite.auth"),
        (Code.PERMISSION_DENIED, "ignite.app-viewer"),
        (Code.NOT_FOUND, "ignite.organization"),
        (Code.UNIMPLEMENTED, "ignite.endpoint"),
    ],
)
def test_it_names_what_to_look_at(code: Code, setting: str) -> None:
    said = advised(Status(code, "no"))
    assert said.startswith(f"{code.name}: no: ")
    assert setting in said


def test_what_has_its_advice_gets_no_second_one() -> None:
    status = Status(Code.UNAUTHENTICATED, "refused: check ignite.auth.client_secret")
    assert advised(status) == str(status)


def test_what_passes_by_itself_is_told_as_it_is() -> None:
    assert advised(Status(Code.INTERNAL, "oops")) == "INTERNAL: oops"
