{{/* The daemon's container and its volumes, the same in every mode. */}}

{{/* A probe of the telemetry port. Takes {root, path, probe}. */}}
{{- define "shipper.probe" -}}
httpGet:
  path: {{ .path }}
  port: telemetry
{{ toYaml (omit .probe "enabled") }}
{{- end -}}

{{- define "shipper.container" -}}
{{- $sidecar := eq .Values.mode "sidecar" -}}
name: shipper
image: {{ include "shipper.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [run, {{ if not .Values.hotReload }}--no-watch, {{ end }}--config, {{ include "shipper.configFile" . }}]
{{- with .Values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $secret := and .Values.credentials.asEnvironment (include "shipper.secretName" .) }}
{{- if or $secret .Values.extraEnvFrom }}
envFrom:
  {{- if $secret }}
  - secretRef:
      name: {{ include "shipper.secretName" . }}
  {{- end }}
  {{- with .Values.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
ports:
  - name: telemetry
    containerPort: {{ include "shipper.telemetryPort" . | int }}
    protocol: TCP
{{- if .Values.startupProbe.enabled }}
{{- /* A native sidecar's startup probe would hold back the app's containers: logs must not. */}}
{{- if not $sidecar }}
startupProbe:
  {{- include "shipper.probe" (dict "path" "/healthz" "probe" .Values.startupProbe) | nindent 2 }}
{{- end }}
{{- end }}
{{- if .Values.livenessProbe.enabled }}
livenessProbe:
  {{- $probe := .Values.livenessProbe }}
  {{- if $sidecar }}
  {{- /* Without a startup probe this is the time to open the buffer. */}}
  {{- $probe = mergeOverwrite (dict "initialDelaySeconds" 60) (deepCopy $probe) }}
  {{- end }}
  {{- include "shipper.probe" (dict "path" "/healthz" "probe" $probe) | nindent 2 }}
{{- end }}
{{- if and .Values.readinessProbe.enabled (or (not $sidecar) .Values.sidecar.readiness) }}
readinessProbe:
  {{- include "shipper.probe" (dict "path" "/readyz" "probe" .Values.readinessProbe) | nindent 2 }}
{{- end }}
resources:
  {{- toYaml ($sidecar | ternary .Values.sidecar.resources .Values.resources) | nindent 2 }}
securityContext:
  {{- $context := deepCopy .Values.securityContext }}
  {{- if $sidecar }}
  {{- $context = mergeOverwrite (dict "runAsNonRoot" true "runAsUser" (int64 .Values.sidecar.runAsUser) "runAsGroup" (int64 .Values.sidecar.runAsUser) "seccompProfile" (dict "type" "RuntimeDefault")) $context }}
  {{- end }}
  {{- toYaml $context | nindent 2 }}
volumeMounts:
  - name: shipper-config
    mountPath: /etc/shipper
    readOnly: true
  - name: shipper-buffer
    mountPath: {{ include "shipper.bufferPath" . }}
  - name: shipper-tmp
    mountPath: /tmp
  {{- if and .Values.credentials.asFiles (include "shipper.secretName" .) }}
  - name: shipper-credentials
    mountPath: {{ .Values.credentials.mountPath }}
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* All volumes but the buffer of a StatefulSet, which comes from its claim template. */}}
{{- define "shipper.volumes" -}}
{{- $sidecar := eq .Values.mode "sidecar" -}}
- name: shipper-config
  configMap:
    name: {{ include "shipper.configMapName" . }}
{{- if not (include "shipper.hasClaim" .) }}
- name: shipper-buffer
  emptyDir:
    sizeLimit: {{ include "shipper.volumeSize" . }}
{{- else if .Values.persistence.existingClaim }}
- name: shipper-buffer
  persistentVolumeClaim:
    claimName: {{ .Values.persistence.existingClaim }}
{{- end }}
- name: shipper-tmp
  emptyDir:
    sizeLimit: 64Mi
{{- if and .Values.credentials.asFiles (include "shipper.secretName" .) }}
- name: shipper-credentials
  secret:
    secretName: {{ include "shipper.secretName" . }}
    defaultMode: {{ $sidecar | ternary .Values.sidecar.fileMode .Values.credentials.fileMode | int }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
