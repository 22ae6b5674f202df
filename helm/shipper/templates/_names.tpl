{{/* Names, labels and the image. */}}

{{- define "shipper.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "shipper.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "shipper.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What selects the daemon's pods, and nothing else of the release. It never changes: a selector is immutable. */}}
{{- define "shipper.selectorLabels" -}}
app.kubernetes.io/name: {{ include "shipper.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: daemon
{{- end -}}

{{- define "shipper.labels" -}}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "shipper"
-}}
{{- toYaml (mergeOverwrite $labels (deepCopy .Values.commonLabels) (include "shipper.selectorLabels" . | fromYaml)) -}}
{{- end -}}

{{/* Metadata of an object. Takes {root, name, labels, annotations, component}; all but root may be left out. */}}
{{- define "shipper.metadata" -}}
{{- $labels := include "shipper.labels" .root | fromYaml -}}
{{- if .component }}{{- $_ := set $labels "app.kubernetes.io/component" .component -}}{{- end -}}
name: {{ default (include "shipper.fullname" .root) .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- toYaml (mergeOverwrite $labels (deepCopy (default dict .labels))) | nindent 2 }}
{{- with mergeOverwrite (deepCopy .root.Values.commonAnnotations) (deepCopy (default dict .annotations)) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "shipper.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "shipper.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "shipper.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "shipper.configMapName" -}}
{{- default (include "shipper.fullname" .) .Values.existingConfigMap -}}
{{- end -}}

{{- define "shipper.secretName" -}}
{{- if .Values.credentials.existingSecret -}}
{{- .Values.credentials.existingSecret -}}
{{- else if .Values.credentials.insecureInline -}}
{{- printf "%s-credentials" (include "shipper.fullname" .) -}}
{{- end -}}
{{- end -}}
