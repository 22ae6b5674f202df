{{/* Refusals about what watches the daemon. */}}

{{- define "shipper.problems.monitoring" -}}
{{- $sidecar := eq .Values.mode "sidecar" -}}
{{- if and $sidecar .Values.serviceMonitor.enabled -}}
{{- include "shipper.problem" "serviceMonitor.enabled is true, but mode sidecar has no Service: set podMonitor.enabled with podMonitor.matchLabels" -}}
{{- else if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled -}}
{{- include "shipper.problem" "podMonitor.enabled and serviceMonitor.enabled are both true: everything would be scraped and counted twice; keep one" -}}
{{- end -}}
{{- if and $sidecar .Values.podMonitor.enabled (not .Values.podMonitor.matchLabels) -}}
{{- include "shipper.problem" "podMonitor.matchLabels is empty: in mode sidecar the pods are another chart's; set labels that they have" -}}
{{- end -}}
{{- if .Values.prometheusRule.enabled -}}
{{- $thresholds := .Values.prometheusRule.thresholds -}}
{{- if and .Values.prometheusRule.defaultRules (not (include "shipper.longestBatchSeconds" .)) (not (and $thresholds.deliveryBehindSeconds $thresholds.deliverySlowSeconds)) -}}
{{- include "shipper.problem" "the chart cannot read batch.max_age of every sink (an existing ConfigMap, or a reference): set prometheusRule.thresholds.deliveryBehindSeconds and deliverySlowSeconds to twice the longest" -}}
{{- end -}}
{{- $names := include "shipper.alertNames" . | fromJsonArray -}}
{{- range .Values.prometheusRule.disabledAlerts -}}
{{- if not (has . $names) -}}
{{- include "shipper.problem" (printf "prometheusRule.disabledAlerts names %s, which is no alert of the chart: they are %s" . (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
