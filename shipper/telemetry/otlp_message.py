"""What is exported over OTLP: the series of a registry as OpenTelemetry's protobuf message.

Names, labels and numbers are those of /metrics. The message: https://github.com/open-telemetry/opentelemetry-proto,
`metrics.proto`; units as in https://ucum.org.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from prometheus_client import Metric
from prometheus_client.samples import Sample

from shipper.telemetry.metrics import PREFIX, SERIES

_UNITS: Final = {
    PREFIX + series.name: {"seconds": "s", "bytes": "By", "": "1"}.get(series.unit, f"{{{series.unit}}}")
    for series in SERIES
}
_CUMULATIVE: Final = pb.AGGREGATION_TEMPORALITY_CUMULATIVE


@dataclass(frozen=True, slots=True)
class Span:
    """When counting began, and now: Unix nanoseconds."""

    start_ns: int
    now_ns: int


def message(metrics: Iterable[Metric], resource: Mapping[str, str], version: str, span: Span) -> bytes:
    """The request for /v1/metrics. CPU-bound."""
    scope = pb.ScopeMetrics(
        scope=InstrumentationScope(name="shipper", version=version),
        metrics=[made for metric in metrics if (made := _metric(metric, span)) is not None],
    )
    whole = pb.ResourceMetrics(resource=Resource(attributes=_attributes(resource)), scope_metrics=[scope])
    return ExportMetricsServiceRequest(resource_metrics=[whole]).SerializeToString()


def _metric(metric: Metric, span: Span) -> pb.Metric | None:
    """None for a metric without any label set yet: OTLP has no way to say that it is there."""
    if not metric.samples:
        return None
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    made = pb.Metric(name=name, description=metric.documentation, unit=_UNITS.get(name, ""))
    if metric.type == "counter":
        points = [_point(sample, span) for sample in metric.samples if sample.name == name]
        made.sum.CopyFrom(pb.Sum(data_points=points, aggregation_temporality=_CUMULATIVE, is_monotonic=True))
    elif metric.type == "histogram":
        histogram = pb.Histogram(data_points=_histograms(metric, span), aggregation_temporality=_CUMULATIVE)
        made.histogram.CopyFrom(histogram)
    else:
        made.gauge.CopyFrom(pb.Gauge(data_points=[_point(sample, span) for sample in metric.samples]))
    return made


def _point(sample: Sample, span: Span) -> pb.NumberDataPoint:
    return pb.NumberDataPoint(
        attributes=_attributes(sample.labels),
        start_time_unix_nano=span.start_ns,
        time_unix_nano=span.now_ns,
        as_double=sample.value,
    )


def _histograms(metric: Metric, span: Span) -> list[pb.HistogramDataPoint]:
    """Prometheus counts what is below each bound, OTLP what lies between two of them."""
    found: dict[tuple[tuple[str, str], ...], pb.HistogramDataPoint] = {}
    below: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in metric.samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        key = tuple(labels.items())
        point = found.get(key)
        if point is None:
            point = found[key] = pb.HistogramDataPoint(
                attributes=_attributes(labels),
                start_time_unix_nano=span.start_ns,
                time_unix_nano=span.now_ns,
            )
        if sample.name.endswith("_bucket"):
            point.bucket_counts.append(int(sample.value - below.get(key, 0.0)))
            below[key] = sample.value
            if sample.labels["le"] != "+Inf":
                point.explicit_bounds.append(float(sample.labels["le"]))
        elif sample.name.endswith("_count"):
            point.count = int(sample.value)
        elif sample.name.endswith("_sum"):
            point.sum = sample.value
    return list(found.values())


def _attributes(labels: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in labels.items()]
