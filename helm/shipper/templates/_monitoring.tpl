{{/* What monitors, rules and tests have in common. */}}

{{/* An endpoint of a monitor, without its port. Takes {root, monitor}. */}}
{{- define "shipper.endpoint" -}}
path: /metrics
interval: {{ .monitor.interval }}
scrapeTimeout: {{ .monitor.scrapeTimeout }}
relabelings:
  # Alerts and dashboards go by this name, whatever kind of monitor brought it.
  - targetLabel: job
    replacement: {{ include "shipper.fullname" .root }}
  {{- with .monitor.relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Names of the chart's alerts. */}}
{{- define "shipper.alertNames" -}}
{{- $names := list -}}
{{- range (.Files.Get "files/alerts.yaml" | fromYaml).rules }}{{ $names = append $names .alert }}{{ end -}}
{{- toJson $names -}}
{{- end -}}

{{/* Twice the longest batch.max_age, at least five minutes; nothing where it cannot be known. */}}
{{- define "shipper.behindSeconds" -}}
{{- with .Values.prometheusRule.thresholds.deliveryBehindSeconds -}}
{{- . -}}
{{- else -}}
{{- with include "shipper.longestBatchSeconds" . -}}
{{- max 300 (mul 2 (int64 .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The next bound of shipper_delivery_seconds: between two bounds a quantile is a guess. */}}
{{- define "shipper.slowSeconds" -}}
{{- with .Values.prometheusRule.thresholds.deliverySlowSeconds -}}
{{- . -}}
{{- else -}}
{{- $wanted := include "shipper.behindSeconds" . | int64 -}}
{{- $found := 21600 -}}
{{- range list 3600 1800 600 300 -}}
{{- if le $wanted (int64 .) }}{{ $found = . }}{{ end -}}
{{- end -}}
{{- $found -}}
{{- end -}}
{{- end -}}

{{/*
The chart's alerts with this release's selector, thresholds and runbook in them. They lie in files/alerts.yaml as plain rules,
with words in percent signs where something is filled in.
*/}}
{{- define "shipper.rules" -}}
{{- $values := .Values.prometheusRule -}}
{{- $selector := printf "job=\"%s\",namespace=\"%s\"" (include "shipper.fullname" .) .Release.Namespace -}}
{{- $text := .Files.Get "files/alerts.yaml"
  | replace "%SELECTOR%" $selector
  | replace "%BEHIND%" (include "shipper.behindSeconds" .)
  | replace "%SLOW%" (include "shipper.slowSeconds" .)
  | replace "%FAILING%" (toString $values.thresholds.deliveryFailingRatio)
  | replace "%FILLING%" (toString $values.thresholds.bufferFillingRatio)
  | replace "%FULL%" (toString $values.thresholds.bufferFullRatio)
-}}
{{- $disabled := $values.disabledAlerts -}}
{{- /* Sidecars come and go with their app, and one that collects no logs has no streams to miss. */ -}}
{{- if eq .Values.mode "sidecar" }}{{ $disabled = append $disabled "ShipperDown" }}{{ end -}}
{{- if eq (include "shipper.setting" (dict "root" . "path" "collect.logs")) "false" }}{{ $disabled = append $disabled "ShipperSubscriptionsMissing" }}{{ end -}}
{{- $rules := list -}}
{{- range (fromYaml $text).rules -}}
{{- if not (has .alert $disabled) -}}
{{- $_ := set . "labels" (mergeOverwrite (deepCopy $values.ruleLabels) .labels) -}}
{{- $_ := set .annotations "runbook_url" (printf "%s#%s" $values.runbookUrl (lower .alert)) -}}
{{- $rules = append $rules . -}}
{{- end -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end -}}
