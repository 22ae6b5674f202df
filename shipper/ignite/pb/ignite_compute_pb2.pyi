from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReplicaStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATUS_UNSPECIFIED: _ClassVar[ReplicaStatus]
    STATUS_RUNNING: _ClassVar[ReplicaStatus]

class LogStream(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_STREAM_UNSPECIFIED: _ClassVar[LogStream]
    LOG_STREAM_STDOUT: _ClassVar[LogStream]
    LOG_STREAM_STDERR: _ClassVar[LogStream]

class AppEventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APP_EVENT_KIND_UNSPECIFIED: _ClassVar[AppEventKind]
    APP_EVENT_KIND_OOM_KILLED: _ClassVar[AppEventKind]
STATUS_UNSPECIFIED: ReplicaStatus
STATUS_RUNNING: ReplicaStatus
LOG_STREAM_UNSPECIFIED: LogStream
LOG_STREAM_STDOUT: LogStream
LOG_STREAM_STDERR: LogStream
APP_EVENT_KIND_UNSPECIFIED: AppEventKind
APP_EVENT_KIND_OOM_KILLED: AppEventKind

class ListAppsRequest(_message.Message):
    __slots__ = ("organization_name", "limit", "cursor")
    ORGANIZATION_NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    organization_name: str
    limit: int
    cursor: str
    def __init__(self, organization_name: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class AppSummary(_message.Message):
    __slots__ = ("id", "name", "organization_name")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_NAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    organization_name: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., organization_name: _Optional[str] = ...) -> None: ...

class ListAppsResponse(_message.Message):
    __slots__ = ("apps", "next_cursor")
    APPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    apps: _containers.RepeatedCompositeFieldContainer[AppSummary]
    next_cursor: str
    def __init__(self, apps: _Optional[_Iterable[_Union[AppSummary, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class ListAppReplicasRequest(_message.Message):
    __slots__ = ("organization_name", "app_name")
    ORGANIZATION_NAME_FIELD_NUMBER: _ClassVar[int]
    APP_NAME_FIELD_NUMBER: _ClassVar[int]
    organization_name: str
    app_name: str
    def __init__(self, organization_name: _Optional[str] = ..., app_name: _Optional[str] = ...) -> None: ...

class AppReplica(_message.Message):
    __slots__ = ("replica_id", "cluster_id", "node_name", "status", "ready", "restart_count", "started_ms", "conditions_summary", "cpu_millicores_used", "memory_mb_used")
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    RESTART_COUNT_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_SUMMARY_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLICORES_USED_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MB_USED_FIELD_NUMBER: _ClassVar[int]
    replica_id: str
    cluster_id: str
    node_name: str
    status: ReplicaStatus
    ready: bool
    restart_count: int
    started_ms: int
    conditions_summary: str
    cpu_millicores_used: int
    memory_mb_used: int
    def __init__(self, replica_id: _Optional[str] = ..., cluster_id: _Optional[str] = ..., node_name: _Optional[str] = ..., status: _Optional[_Union[ReplicaStatus, str]] = ..., ready: _Optional[bool] = ..., restart_count: _Optional[int] = ..., started_ms: _Optional[int] = ..., conditions_summary: _Optional[str] = ..., cpu_millicores_used: _Optional[int] = ..., memory_mb_used: _Optional[int] = ...) -> None: ...

class ListAppReplicasResponse(_message.Message):
    __slots__ = ("replicas",)
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    replicas: _containers.RepeatedCompositeFieldContainer[AppReplica]
    def __init__(self, replicas: _Optional[_Iterable[_Union[AppReplica, _Mapping]]] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("timestamp_ms", "replica_id", "stream", "line")
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    timestamp_ms: int
    replica_id: str
    stream: LogStream
    line: str
    def __init__(self, timestamp_ms: _Optional[int] = ..., replica_id: _Optional[str] = ..., stream: _Optional[_Union[LogStream, str]] = ..., line: _Optional[str] = ...) -> None: ...

class GetAppLogsRequest(_message.Message):
    __slots__ = ("organization_name", "app_name", "limit", "replica_id")
    ORGANIZATION_NAME_FIELD_NUMBER: _ClassVar[int]
    APP_NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    organization_name: str
    app_name: str
    limit: int
    replica_id: str
    def __init__(self, organization_name: _Optional[str] = ..., app_name: _Optional[str] = ..., limit: _Optional[int] = ..., replica_id: _Optional[str] = ...) -> None: ...

class GetAppLogsResponse(_message.Message):
    __slots__ = ("lines", "truncated")
    LINES_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[LogLine]
    truncated: bool
    def __init__(self, lines: _Optional[_Iterable[_Union[LogLine, _Mapping]]] = ..., truncated: _Optional[bool] = ...) -> None: ...

class StreamAppLogsRequest(_message.Message):
    __slots__ = ("organization_name", "app_name", "replica_id", "from_start")
    ORGANIZATION_NAME_FIELD_NUMBER: _ClassVar[int]
    APP_NAME_FIELD_NUMBER: _ClassVar[int]
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_START_FIELD_NUMBER: _ClassVar[int]
    organization_name: str
    app_name: str
    replica_id: str
    from_start: bool
    def __init__(self, organization_name: _Optional[str] = ..., app_name: _Optional[str] = ..., replica_id: _Optional[str] = ..., from_start: _Optional[bool] = ...) -> None: ...

class AppEvent(_message.Message):
    __slots__ = ("timestamp_ms", "kind", "reason", "message", "replica_id", "count", "severity")
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    timestamp_ms: int
    kind: AppEventKind
    reason: str
    message: str
    replica_id: str
    count: int
    severity: str
    def __init__(self, timestamp_ms: _Optional[int] = ..., kind: _Optional[_Union[AppEventKind, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., replica_id: _Optional[str] = ..., count: _Optional[int] = ..., severity: _Optional[str] = ...) -> None: ...

class GetAppEventsRequest(_message.Message):
    __slots__ = ("organization_name", "app_name", "severity", "replica_id")
    ORGANIZATION_NAME_FIELD_NUMBER: _ClassVar[int]
    APP_NAME_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    organization_name: str
    app_name: str
    severity: str
    replica_id: str
    def __init__(self, organization_name: _Optional[str] = ..., app_name: _Optional[str] = ..., severity: _Optional[str] = ..., replica_id: _Optional[str] = ...) -> None: ...

class GetAppEventsResponse(_message.Message):
    __slots__ = ("events", "truncated")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[AppEvent]
    truncated: bool
    def __init__(self, events: _Optional[_Iterable[_Union[AppEvent, _Mapping]]] = ..., truncated: _Optional[bool] = ...) -> None: ...

class StreamAppEventsRequest(_message.Message):
    __slots__ = ("organization_name", "app_name")
    ORGANIZATION_NAME_FIELD_NUMBER: _ClassVar[int]
    APP_NAME_FIELD_NUMBER: _ClassVar[int]
    organization_name: str
    app_name: str
    def __init__(self, organization_name: _Optional[str] = ..., app_name: _Optional[str] = ...) -> None: ...
