{{/*
What cannot work is refused when it is rendered, all of it at once, each with what to set. A problem is a line that begins
with a line break; no text means no problem.
*/}}

{{- define "shipper.problem" -}}
{{- printf "\n  - %s" . -}}
{{- end -}}

{{- define "shipper.refusals" -}}
{{- $problems := printf "%s%s%s%s%s%s"
  (include "shipper.problems.required" .)
  (include "shipper.problems.workload" .)
  (include "shipper.problems.buffer" .)
  (include "shipper.problems.memory" .)
  (include "shipper.problems.secrets" .)
  (include "shipper.problems.monitoring" .)
-}}
{{- if $problems -}}
{{- fail (printf "\n\nshipper cannot run like this:\n%s\n" $problems) -}}
{{- end -}}
{{- end -}}

{{- define "shipper.problems.required" -}}
{{- if not .Values.image.repository -}}
{{- include "shipper.problem" "image.repository is not set: build the image (docker build .), push it, and name it, for example registry.example.com/tools/shipper" -}}
{{- end -}}
{{- if .Values.existingConfigMap -}}
{{- if .Values.config.sinks -}}
{{- include "shipper.problem" "existingConfigMap and config.sinks are both set: keep one of the two configurations" -}}
{{- end -}}
{{- else -}}
{{- if not .Values.config.ignite.organization -}}
{{- include "shipper.problem" "config.ignite.organization is not set: the name of the organization whose apps are followed" -}}
{{- end -}}
{{- if not .Values.config.ignite.auth -}}
{{- include "shipper.problem" "config.ignite.auth is not set: {type: client_credentials, token_url: ..., client_id: ..., client_secret: ${file:...}}; docs/configuration.md has the other ways" -}}
{{- end -}}
{{- if not .Values.config.sinks -}}
{{- include "shipper.problem" "config.sinks is empty: name at least one, for example archive: {type: s3, bucket: acme-logs, region: eu-central-1}" -}}
{{- end -}}
{{- end -}}
{{- $listen := include "shipper.setting" (dict "root" . "path" "telemetry.listen") -}}
{{- if not (include "shipper.telemetryPort" .) -}}
{{- include "shipper.problem" "config.telemetry.listen has no port that the chart can read, so probes and Prometheus would find nothing: set 0.0.0.0:9464" -}}
{{- else if regexMatch "^(127\\.|localhost:|\\[::1\\])" $listen -}}
{{- include "shipper.problem" (printf "config.telemetry.listen is %s, which the kubelet and Prometheus cannot reach: set 0.0.0.0:9464" $listen) -}}
{{- end -}}
{{- end -}}

{{- define "shipper.problems.workload" -}}
{{- if and (gt (int .Values.replicas) 1) (ne .Values.mode "sidecar") -}}
{{- include "shipper.problem" (printf "replicas is %d: several daemons cannot share the work yet, each would archive every line once more; set replicas: 1, or install one release for each set of apps (config.apps.include)" (int .Values.replicas)) -}}
{{- end -}}
{{- if and .Values.autoscaling.hpa.enabled .Values.autoscaling.external -}}
{{- include "shipper.problem" "autoscaling.hpa.enabled and autoscaling.external are both true: only one may set the number of replicas; set autoscaling.hpa.enabled: false" -}}
{{- else if .Values.autoscaling.hpa.enabled -}}
{{- include "shipper.problem" "autoscaling.hpa.enabled is true: several daemons cannot share the work yet; give one more room with resources or autoscaling.vpa.enabled" -}}
{{- end -}}
{{- $drain := include "shipper.shutdownSeconds" . -}}
{{- if and $drain (ne .Values.mode "sidecar") (lt (int64 .Values.terminationGracePeriodSeconds) (add (int64 $drain) 15)) -}}
{{- include "shipper.problem" (printf "terminationGracePeriodSeconds is %d, but config.shutdown.timeout lets the daemon drain for %s s: set at least %d, or a shorter timeout" (int64 .Values.terminationGracePeriodSeconds) $drain (add (int64 $drain) 15)) -}}
{{- end -}}
{{- end -}}

{{- define "shipper.problems.buffer" -}}
{{- $path := include "shipper.bufferPath" . -}}
{{- if or (contains "${" $path) (not (hasPrefix "/" $path)) -}}
{{- include "shipper.problem" (printf "config.buffer.path is %s, where no volume can be mounted: write an absolute path such as /var/lib/shipper" $path) -}}
{{- end -}}
{{- $size := include "shipper.volumeSize" . -}}
{{- $wanted := include "shipper.setting" (dict "root" . "path" "buffer.max_size") -}}
{{- if and (not (include "shipper.hasClaim" .)) (not $size) -}}
{{- include "shipper.problem" (printf "mode %s without a volume claim keeps the buffer in an emptyDir, which needs a limit: set buffer.emptyDirSizeLimit, for example 4Gi%s" .Values.mode (eq .Values.mode "statefulset" | ternary ", or persistence.enabled: true" "")) -}}
{{- else if and (not $size) (not $wanted) (not .Values.existingConfigMap) -}}
{{- include "shipper.problem" "persistence.existingClaim is set, and the chart does not know its size: set config.buffer.max_size to 85 % of it" -}}
{{- end -}}
{{- if and $size $wanted -}}
{{- $volume := include "shipper.bytes" $size | int64 -}}
{{- $bytes := include "shipper.bytes" $wanted -}}
{{- if and $bytes (gt (mulf (float64 $bytes) 10) (mulf $volume 9)) -}}
{{- include "shipper.problem" (printf "config.buffer.max_size is %s, more than 90 %% of the volume of %s: make the volume larger (at least %s), or set %dMiB or less" $wanted $size (include "shipper.readable" (divf (float64 $bytes) 0.9)) (int64 (divf (mulf $volume 0.9) 1048576.0 | floor))) -}}
{{- end -}}
{{- end -}}
{{- include "shipper.problems.ephemeral" . -}}
{{- include "shipper.problems.directories" . -}}
{{- end -}}

{{/* An emptyDir counts as ephemeral storage of the pod: beyond that limit the pod is evicted, buffer and all. */}}
{{- define "shipper.problems.ephemeral" -}}
{{- $name := eq .Values.mode "sidecar" | ternary "sidecar.resources" "resources" -}}
{{- $resources := eq .Values.mode "sidecar" | ternary .Values.sidecar.resources .Values.resources -}}
{{- $limit := dig "limits" "ephemeral-storage" "" $resources | toString -}}
{{- $size := include "shipper.volumeSize" . -}}
{{- if and $limit $size (not (include "shipper.hasClaim" .)) -}}
{{- if le (include "shipper.bytes" $limit | int64) (include "shipper.bytes" $size | int64) -}}
{{- include "shipper.problem" (printf "%s.limits.ephemeral-storage is %s, but the buffer's emptyDir may take %s of it and the pod would be evicted: set more than that" $name $limit $size) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A directory sink writes to a volume; the root file system is read-only and ends with the pod. */}}
{{- define "shipper.problems.directories" -}}
{{- $mounts := list (include "shipper.bufferPath" .) -}}
{{- range .Values.extraVolumeMounts }}{{ $mounts = append $mounts .mountPath }}{{ end -}}
{{- range $name, $sink := .Values.config.sinks -}}
{{- if and (eq (toString (get $sink "type")) "directory") (hasPrefix "/" (toString (get $sink "path"))) -}}
{{- $path := get $sink "path" -}}
{{- $held := false -}}
{{- range $mounts }}{{ if or (eq $path .) (hasPrefix (printf "%s/" (trimSuffix "/" .)) $path) }}{{ $held = true }}{{ end }}{{ end -}}
{{- if not $held -}}
{{- include "shipper.problem" (printf "config.sinks.%s.path is %s, which is on no volume: mount one there with extraVolumes and extraVolumeMounts" $name $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Memory that batches may take: an S3 sink holds four batches and, beside them, uploads of 64 MiB or of one batch (docs/sinks.md,
"Memory"); a sink of records holds requests of 5 MB and the batch they come from, unpacked.
*/}}
{{- define "shipper.batchBytes" -}}
{{- $total := 0 -}}
{{- range $name, $sink := .Values.config.sinks -}}
{{- $size := include "shipper.bytes" (include "shipper.batch" (dict "root" $ "sink" $sink "key" "max_size")) | default "0" | int64 -}}
{{- $type := toString (get $sink "type") -}}
{{- if eq $type "s3" -}}
{{- $total = add $total (mul 4 $size) (min (mul 4 $size) (max 67108864 $size)) -}}
{{- else if eq $type "directory" -}}
{{- $total = add $total (mul 4 $size) -}}
{{- else if has $type (list "datadog" "sentry") -}}
{{- $concurrency := get $sink "concurrency" | default 4 -}}
{{- $total = add $total (mul 4 $size) (mul 5000000 (contains "${" (toString $concurrency) | ternary 4 $concurrency | int64)) -}}
{{- end -}}
{{- end -}}
{{- $total -}}
{{- end -}}

{{- define "shipper.problems.memory" -}}
{{- $name := eq .Values.mode "sidecar" | ternary "sidecar.resources" "resources" -}}
{{- $resources := eq .Values.mode "sidecar" | ternary .Values.sidecar.resources .Values.resources -}}
{{- $limit := dig "limits" "memory" "" $resources | toString -}}
{{- if $limit -}}
{{- $batches := include "shipper.batchBytes" . | int64 -}}
{{- if gt (mulf $batches 10) (mulf (include "shipper.bytes" $limit | int64) 6) -}}
{{- include "shipper.problem" (printf "the batches of the sinks may take %s of memory, more than 60 %% of %s.limits.memory (%s): set at least %s, or a smaller config.sinks.*.batch.max_size" (include "shipper.readable" $batches) $name $limit (include "shipper.readable" (divf $batches 0.6))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
