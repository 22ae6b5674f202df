"""`telemetry.otlp`: where metrics are pushed to, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shipper.config.otlp import OtlpSettings
from shipper.config.secret import secrets_in


def test_an_endpoint_is_enough() -> None:
    settings = OtlpSettings.model_validate({"endpoint": "http://otel-collector:4318"})
    assert (settings.interval, dict(settings.headers)) == (60.0, {})


def test_headers_are_secrets() -> None:
    settings = OtlpSettings.model_validate(
        {"endpoint": "https://x", "headers": {"Authorization": "Bearer secret-1"}}
    )
    assert list(secrets_in(settings)) == ["Bearer secret-1"]
    assert settings.model_dump(mode="json")["headers"] == {"Authorization": "***"}
    assert OtlpSettings.model_validate({"endpoint": "https://x", "headers": None}).headers == {}


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"endpoint": "otel-collector:4318"},
        {"endpoint": "grpc://x:4317"},
        {"endpoint": "http://user:p4ss@x"},
        {"endpoint": "http://x", "interval": "100ms"},
        {"endpoint": "http://x", "headers": {"content-type": "text/plain"}},
        {"endpoint": "http://x", "headers": {"a b": "c"}},
        {"endpoint": "http://x", "headers": {"a": "b\nc"}},
        {"endpoint": "http://x", "header": {}},
    ],
)
def test_what_cannot_work_is_refused_and_repeats_no_value(written: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        OtlpSettings.model_validate(written)
    assert "p4ss" not in str(caught.value)
