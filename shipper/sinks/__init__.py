"""The table of sinks: which type name of the configuration makes which sink.

A sink's own modules are imported when one is made: the S3 client alone takes 14 MB of memory, which a daemon without
a bucket need not spend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from shipper.sinks.port import RecordSink, Sink

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from shipper.config.datadog import DatadogSettings
    from shipper.config.destinations import DirectorySettings, S3Settings, SinkSettings, StdoutSettings
    from shipper.config.sentry import SentrySettings

AnySink = Sink | RecordSink


def make_sink(name: str, settings: SinkSettings) -> AnySink:
    """The sink that one entry of `sinks:` asks for, not yet opened. Raises KeyError for a type without a row."""
    return SINKS[settings.type](name, settings)


def takes_records(sink: AnySink) -> TypeIs[RecordSink]:
    """Whether the sink takes records, and not sealed batches as they lie in the buffer."""
    return hasattr(sink, "pack")


def _s3(name: str, settings: S3Settings) -> Sink:
    from shipper.sinks.s3.options import S3Options
    from shipper.sinks.s3.sink import S3Sink

    return S3Sink(name, S3Options.of(settings))


def _directory(name: str, settings: DirectorySettings) -> Sink:
    from shipper.sinks.directory.sink import DirectoryOptions, DirectorySink

    return DirectorySink(name, DirectoryOptions(path=settings.path, compression=settings.compression))


def _stdout(name: str, settings: StdoutSettings) -> Sink:
    from shipper.sinks.stdout import StdoutSink

    return StdoutSink(name)


def _datadog(name: str, settings: DatadogSettings) -> RecordSink:
    from shipper.sinks.datadog.options import DatadogOptions
    from shipper.sinks.datadog.sink import DatadogSink

    return DatadogSink(name, DatadogOptions.of(settings))


def _sentry(name: str, settings: SentrySettings) -> RecordSink:
    from shipper.sinks.sentry.options import SentryOptions
    from shipper.sinks.sentry.sink import SentrySink

    return SentrySink(name, SentryOptions.of(settings))


SINKS: Final[Mapping[str, Callable[[str, Any], AnySink]]] = {
    "s3": _s3,
    "directory": _directory,
    "stdout": _stdout,
    "datadog": _datadog,
    "sentry": _sentry,
}
