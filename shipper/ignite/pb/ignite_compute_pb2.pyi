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

class VersionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERSION_STATUS_UNSPECIFIED: _ClassVar[VersionStatus]
    VERSION_STATUS_DRAFT: _ClassVar[VersionStatus]
    VERSION_STATUS_ACTIVE: _ClassVar[VersionStatus]
    VERSION_STATUS_SUPERSEDED: _ClassVar[VersionStatus]

class BuildStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUILD_STATUS_UNSPECIFIED: _ClassVar[BuildStatus]
    BUILD_STATUS_PENDING: _ClassVar[BuildStatus]
    BUILD_STATUS_RUNNING: _ClassVar[BuildStatus]
    BUILD_STATUS_SUCCEEDED: _ClassVar[BuildStatus]
    BUILD_STATUS_FAILED: _ClassVar[BuildStatus]
    BUILD_STATUS_CANCELLED: _ClassVar[BuildStatus]
STATUS_UNSPECIFIED: ReplicaStatus
STATUS_RUNNING: ReplicaStatus
LOG_STREAM_UNSPECIFIED: LogStream
LOG_STREAM_STDOUT: LogStream
LOG_STREAM_STDERR: LogStream
APP_EVENT_KIND_UNSPECIFIED: AppEventKind
APP_EVENT_KIND_OOM_KILLED: AppEventKind
VERSION_STATUS_UNSPECIFIED: VersionStatus
VERSION_STATUS_DRAFT: VersionStatus
VERSION_STATUS_ACTIVE: VersionStatus
VERSION_STATUS_SUPERSEDED: VersionStatus
BUILD_STATUS_UNSPECIFIED: BuildStatus
BUILD_STATUS_PENDING: BuildStatus
BUILD_STATUS_RUNNING: BuildStatus
BUILD_STATUS_SUCCEEDED: BuildStatus
BUILD_STATUS_FAILED: BuildStatus
BUILD_STATUS_CANCELLED: BuildStatus

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

class GetDraftInfoRequest(_message.Message):
    __slots__ = ("organization_name", "app_name")
    ORGANIZATION_NAME_FIELD_NUMBER: _ClassVar[int]
    APP_NAME_FIELD_NUMBER: _ClassVar[int]
    organization_name: str
    app_name: str
    def __init__(self, organization_name: _Optional[str] = ..., app_name: _Optional[str] = ...) -> None: ...

class DraftInfo(_message.Message):
    __slots__ = ("status", "code_hash", "created_at_ms", "deploy_id", "error", "image_ref")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CODE_HASH_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    DEPLOY_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    IMAGE_REF_FIELD_NUMBER: _ClassVar[int]
    status: VersionStatus
    code_hash: str
    created_at_ms: int
    deploy_id: str
    error: str
    image_ref: str
    def __init__(self, status: _Optional[_Union[VersionStatus, str]] = ..., code_hash: _Optional[str] = ..., created_at_ms: _Optional[int] = ..., deploy_id: _Optional[str] = ..., error: _Optional[str] = ..., image_ref: _Optional[str] = ...) -> None: ...

class GetDraftInfoResponse(_message.Message):
    __slots__ = ("draft",)
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    draft: DraftInfo
    def __init__(self, draft: _Optional[_Union[DraftInfo, _Mapping]] = ...) -> None: ...

class GetBuildLogRequest(_message.Message):
    __slots__ = ("organization_name", "app_name", "build_id")
    ORGANIZATION_NAME_FIELD_NUMBER: _ClassVar[int]
    APP_NAME_FIELD_NUMBER: _ClassVar[int]
    BUILD_ID_FIELD_NUMBER: _ClassVar[int]
    organization_name: str
    app_name: str
    build_id: str
    def __init__(self, organization_name: _Optional[str] = ..., app_name: _Optional[str] = ..., build_id: _Optional[str] = ...) -> None: ...

class GetBuildLogResponse(_message.Message):
    __slots__ = ("log", "found")
    LOG_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    log: bytes
    found: bool
    def __init__(self, log: _Optional[bytes] = ..., found: _Optional[bool] = ...) -> None: ...

class StreamCompileLogsRequest(_message.Message):
    __slots__ = ("deploy_id", "from_start")
    DEPLOY_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_START_FIELD_NUMBER: _ClassVar[int]
    deploy_id: str
    from_start: bool
    def __init__(self, deploy_id: _Optional[str] = ..., from_start: _Optional[bool] = ...) -> None: ...

class CompileLogChunk(_message.Message):
    __slots__ = ("data", "timestamp_ms")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    timestamp_ms: int
    def __init__(self, data: _Optional[bytes] = ..., timestamp_ms: _Optional[int] = ...) -> None: ...

class ListBuildsRequest(_message.Message):
    __slots__ = ("limit", "cursor")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    limit: int
    cursor: str
    def __init__(self, limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class Build(_message.Message):
    __slots__ = ("build_id", "name", "status", "created_at_ms", "app_name")
    BUILD_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    APP_NAME_FIELD_NUMBER: _ClassVar[int]
    build_id: str
    name: str
    status: BuildStatus
    created_at_ms: int
    app_name: str
    def __init__(self, build_id: _Optional[str] = ..., name: _Optional[str] = ..., status: _Optional[_Union[BuildStatus, str]] = ..., created_at_ms: _Optional[int] = ..., app_name: _Optional[str] = ...) -> None: ...

class ListBuildsResponse(_message.Message):
    __slots__ = ("builds", "next_cursor")
    BUILDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    builds: _containers.RepeatedCompositeFieldContainer[Build]
    next_cursor: str
    def __init__(self, builds: _Optional[_Iterable[_Union[Build, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class StreamBuildLogsRequest(_message.Message):
    __slots__ = ("build_id", "from_start")
    BUILD_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_START_FIELD_NUMBER: _ClassVar[int]
    build_id: str
    from_start: bool
    def __init__(self, build_id: _Optional[str] = ..., from_start: _Optional[bool] = ...) -> None: ...

class BuildLogChunk(_message.Message):
    __slots__ = ("data", "timestamp_ms")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MS_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    timestamp_ms: int
    def __init__(self, data: _Optional[bytes] = ..., timestamp_ms: _Optional[int] = ...) -> None: ...
