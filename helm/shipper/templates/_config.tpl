{{/* The configuration, and what the chart reads from it. */}}

{{/* The daemon's defaults where the configuration says nothing; tests compare them with the daemon's own. */}}
{{- define "shipper.defaults" -}}
buffer.path: /var/lib/shipper
shutdown.timeout: 30s
batch.max_age: {s3: 5m, directory: 5s, datadog: 2s, sentry: 2s, stdout: 500ms}
batch.max_size: {s3: 64MiB, directory: 64MiB, datadog: 4MiB, sentry: 4MiB, stdout: 1MiB}
{{- end -}}

{{/* A setting of the configuration as text; nothing where it, or a section above it, is null. Takes {root, path}. */}}
{{- define "shipper.setting" -}}
{{- $found := .root.Values.config -}}
{{- range splitList "." .path -}}
{{- if kindIs "map" $found }}{{ $found = get $found . }}{{ else }}{{ $found = "" }}{{ end -}}
{{- end -}}
{{- if kindIs "map" $found }}{{ toJson $found }}{{ else if not (kindIs "invalid" $found) }}{{ $found }}{{ end -}}
{{- end -}}

{{/* The size of the buffer's volume, as a Kubernetes quantity; nothing where it cannot be known. */}}
{{- define "shipper.volumeSize" -}}
{{- if eq .Values.mode "sidecar" -}}
{{- .Values.sidecar.emptyDirSizeLimit -}}
{{- else if include "shipper.hasClaim" . -}}
{{- if not .Values.persistence.existingClaim -}}{{- .Values.persistence.size -}}{{- end -}}
{{- else -}}
{{- .Values.buffer.emptyDirSizeLimit -}}
{{- end -}}
{{- end -}}

{{/* Whether the buffer lies on a claim. */}}
{{- define "shipper.hasClaim" -}}
{{- if and (ne .Values.mode "sidecar") .Values.persistence.enabled (or (eq .Values.mode "statefulset") .Values.persistence.existingClaim) -}}
true
{{- end -}}
{{- end -}}

{{/* `config` as it is written into the ConfigMap: as it is, and `buffer.max_size` where it says none. */}}
{{- define "shipper.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $size := include "shipper.bytes" (include "shipper.volumeSize" .) -}}
{{- if not (include "shipper.setting" (dict "root" . "path" "buffer.max_size")) -}}
{{- if int64 $size -}}
{{- $buffer := default dict $config.buffer -}}
{{- $_ := set $buffer "max_size" (printf "%dMiB" (int64 (divf (mulf (float64 $size) 0.85) 1048576.0 | floor))) -}}
{{- $_ := set $config "buffer" $buffer -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Where the container finds it. */}}
{{- define "shipper.configFile" -}}
/etc/shipper/{{ if .Values.existingConfigMap }}{{ .Values.existingConfigMapKey }}{{ else }}config.yaml{{ end }}
{{- end -}}

{{- define "shipper.bufferPath" -}}
{{- include "shipper.setting" (dict "root" . "path" "buffer.path") | default (get (include "shipper.defaults" . | fromYaml) "buffer.path") -}}
{{- end -}}

{{/* The port of `telemetry.listen`; nothing where it cannot be read. */}}
{{- define "shipper.telemetryPort" -}}
{{- regexFind ":[0-9]+$" (include "shipper.setting" (dict "root" . "path" "telemetry.listen")) | trimPrefix ":" -}}
{{- end -}}

{{- define "shipper.shutdownSeconds" -}}
{{- include "shipper.seconds" (include "shipper.setting" (dict "root" . "path" "shutdown.timeout") | default (get (include "shipper.defaults" . | fromYaml) "shutdown.timeout")) -}}
{{- end -}}

{{/* `batch.max_age` or `batch.max_size` of a sink. Takes {root, sink, key}. */}}
{{- define "shipper.batch" -}}
{{- $sink := .sink -}}
{{- $defaults := get (include "shipper.defaults" .root | fromYaml) (printf "batch.%s" .key) -}}
{{- $batch := default dict (get $sink "batch") -}}
{{- get $batch .key | default (get $defaults (toString (get $sink "type"))) -}}
{{- end -}}

{{/* The longest `batch.max_age` in seconds; nothing where one is a reference or there is no configuration. */}}
{{- define "shipper.longestBatchSeconds" -}}
{{- $longest := 0 -}}
{{- $known := not .Values.existingConfigMap -}}
{{- range $name, $sink := .Values.config.sinks -}}
{{- $seconds := include "shipper.seconds" (include "shipper.batch" (dict "root" $ "sink" $sink "key" "max_age")) -}}
{{- if $seconds -}}{{- $longest = max $longest (int64 $seconds) -}}{{- else -}}{{- $known = false -}}{{- end -}}
{{- end -}}
{{- if $known -}}{{- $longest -}}{{- end -}}
{{- end -}}

{{/* The TCP ports that the configuration names, 443 always, as a list of numbers. */}}
{{- define "shipper.egressPorts" -}}
{{- $ports := list 443 -}}
{{- $schemes := dict "grpcs" 443 "https" 443 "grpc" 80 "http" 80 -}}
{{- range regexFindAll "(?:grpcs?|https?)://[^\"/?#]+" (toJson .Values.config) -1 -}}
{{- $port := regexFind ":[0-9]+" (regexReplaceAll "^[a-z]+://(?:[^@]*@)?(?:\\[[^\\]]*\\])?" . "") | trimPrefix ":" -}}
{{- $ports = append $ports (int (default (get $schemes (regexFind "^[a-z]+" .)) $port)) -}}
{{- end -}}
{{- range .Values.networkPolicy.egress.extraPorts -}}
{{- $ports = append $ports (int .) -}}
{{- end -}}
{{- toJson (uniq $ports) -}}
{{- end -}}
