{{/*
The daemon beside an app, for charts that depend on this one with `mode: sidecar`. The scope is the dependency's:

    spec:
      terminationGracePeriodSeconds: {{ add 30 (include "shipper.sidecar.gracePeriodSeconds" .Subcharts.shipper) }}
      initContainers:
        {{- include "shipper.sidecar" .Subcharts.shipper | nindent 8 }}
      volumes:
        {{- include "shipper.sidecar.volumes" .Subcharts.shipper | nindent 8 }}
*/}}

{{/* For `initContainers`: a native sidecar, which starts before the app's containers and ends after them. */}}
{{- define "shipper.sidecar" -}}
{{- include "shipper.sidecar.refusals" . -}}
{{- if semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version -}}
{{- fail (printf "shipper.sidecar needs Kubernetes 1.29 and this is %s: include shipper.sidecar.classic under `containers` instead" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
- {{ include "shipper.container" . | nindent 2 | trim }}
  restartPolicy: Always
{{- end -}}

{{/*
For `containers`, before Kubernetes 1.29: it ends together with the app's containers, and a Job with it never completes
by itself.
*/}}
{{- define "shipper.sidecar.classic" -}}
{{- include "shipper.sidecar.refusals" . -}}
- {{ include "shipper.container" . | nindent 2 | trim }}
{{- end -}}

{{/* For `volumes`. */}}
{{- define "shipper.sidecar.volumes" -}}
{{- include "shipper.volumes" . -}}
{{- end -}}

{{/* For an annotation of the pod, where hotReload is false: a changed configuration restarts it. Else it is empty. */}}
{{- define "shipper.sidecar.checksum" -}}
{{- if not (or .Values.hotReload .Values.existingConfigMap) -}}
checksum/shipper-config: {{ include "shipper.config" . | sha256sum }}
{{- end -}}
{{- end -}}

{{/* What the drain needs beyond the app's own grace period. */}}
{{- define "shipper.sidecar.gracePeriodSeconds" -}}
{{- add (include "shipper.shutdownSeconds" . | int64) 15 -}}
{{- end -}}

{{- define "shipper.sidecar.refusals" -}}
{{- if ne .Values.mode "sidecar" -}}
{{- fail (printf "shipper.sidecar is included, but `mode` is %s: set `mode: sidecar`, or there would be two daemons" .Values.mode) -}}
{{- end -}}
{{- end -}}
