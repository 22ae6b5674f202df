{{/* Numbers out of texts. Each gives a whole number as text, or nothing where the text is a reference (`${...}`). */}}

{{/* Bytes of `10GiB` (the daemon's) or `12Gi`, `12G` (Kubernetes'). */}}
{{- define "shipper.bytes" -}}
{{- $text := toString . -}}
{{- if not (contains "${" $text) -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- $units := dict "" 1 "B" 1
  "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000
  "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776
  "KiB" 1024 "MiB" 1048576 "GiB" 1073741824 "TiB" 1099511627776 -}}
{{- if hasKey $units $unit -}}
{{- mulf (float64 (trimSuffix $unit $text)) (get $units $unit) | int64 -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Seconds of `500ms`, `30s`, `5m`, `1h`, rounded up. */}}
{{- define "shipper.seconds" -}}
{{- $text := toString . -}}
{{- if not (contains "${" $text) -}}
{{- $unit := regexFind "[a-z]+$" $text -}}
{{- mulf (float64 (trimSuffix $unit $text)) (get (dict "ms" 0.001 "s" 1 "m" 60 "h" 3600) $unit) | ceil | int64 -}}
{{- end -}}
{{- end -}}

{{/* Bytes as people read them: `13.6Gi`, `512Mi`. */}}
{{- define "shipper.readable" -}}
{{- $bytes := float64 . -}}
{{- if ge $bytes 1073741824.0 -}}
{{- printf "%gGi" (divf (ceil (divf $bytes 107374182.4)) 10) -}}
{{- else -}}
{{- printf "%dMi" (int64 (ceil (divf $bytes 1048576.0))) -}}
{{- end -}}
{{- end -}}
