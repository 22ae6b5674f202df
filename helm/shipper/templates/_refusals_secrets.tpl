{{/* Refusals about secrets: written into the configuration, or referred to and not there. */}}

{{/* The settings that hold a secret, by name; a test compares them with the configuration's schema. */}}
{{- define "shipper.secretSettings" -}}
access_key_id api_key client_secret dsn secret_access_key sentry_dsn session_token token
{{- end -}}

{{- define "shipper.problems.secrets" -}}
{{- if and .Values.credentials.existingSecret .Values.credentials.insecureInline -}}
{{- include "shipper.problem" "credentials.existingSecret and credentials.insecureInline are both set: keep the existing Secret" -}}
{{- end -}}
{{- $sections := dict -}}
{{- range list "ignite.auth" "telemetry" -}}
{{- $_ := set $sections . (include "shipper.setting" (dict "root" $ "path" .) | default "{}" | fromJson) -}}
{{- end -}}
{{- range $name, $sink := .Values.config.sinks }}{{ $_ := set $sections (printf "sinks.%s" $name) $sink }}{{ end -}}
{{- range $section, $settings := $sections -}}
{{- range $key, $value := $settings -}}
{{- if and $value (has $key (splitList " " (include "shipper.secretSettings" $))) (not (contains "${" (toString $value))) -}}
{{- include "shipper.problem" (printf "config.%s.%s is a secret in plain text, which everyone who reads the ConfigMap would see: put it into a Secret, name that in credentials.existingSecret, and write ${file:%s/%s} or ${NAME}" $section $key $.Values.credentials.mountPath $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $section := list "ignite.headers" "telemetry.otlp.headers" -}}
{{- range $key, $value := include "shipper.setting" (dict "root" $ "path" $section) | default "{}" | fromJson -}}
{{- if and (regexMatch "(?i)(authorization|cookie|token|key|secret)" $key) (not (contains "${" (toString $value))) -}}
{{- include "shipper.problem" (printf "config.%s.%s is a secret in plain text: put it into a Secret, name that in credentials.existingSecret, and write ${file:%s/%s} or ${NAME}" $section $key $.Values.credentials.mountPath $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- include "shipper.problems.references" . -}}
{{- end -}}

{{/*
References that nothing fills: a file under credentials.mountPath without a Secret, a variable that no Secret and no extraEnv
can bring. Names that identity webhooks inject (AWS_, AZURE_, GOOGLE_) are left alone.
*/}}
{{- define "shipper.problems.references" -}}
{{- $text := toJson .Values.config -}}
{{- $secret := include "shipper.secretName" . -}}
{{- if not (and $secret .Values.credentials.asFiles) -}}
{{- with regexFindAll (printf "\\$\\{file:%s/[^}\"]*\\}" (regexQuoteMeta .Values.credentials.mountPath)) $text -1 | uniq -}}
{{- include "shipper.problem" (printf "config reads %s, but no Secret is mounted there: set credentials.existingSecret%s" (join " and " .) (empty $secret | ternary "" " and credentials.asFiles: true")) -}}
{{- end -}}
{{- end -}}
{{- if not (or (and $secret .Values.credentials.asEnvironment) .Values.extraEnvFrom) -}}
{{- $known := list -}}
{{- range .Values.extraEnv }}{{ $known = append $known .name }}{{ end -}}
{{- $missing := list -}}
{{- range regexFindAll "(?:^|[^$])\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}" $text -1 -}}
{{- $name := regexFind "[A-Za-z_][A-Za-z0-9_]*" (regexFind "\\{.*" .) -}}
{{- if not (or (has $name $known) (regexMatch "^(AWS|AZURE|GOOGLE)_" $name)) -}}
{{- $missing = append $missing (printf "${%s}" $name) -}}
{{- end -}}
{{- end -}}
{{- with uniq $missing -}}
{{- include "shipper.problem" (printf "config reads %s, but nothing sets it: put it into the Secret that credentials.existingSecret names (with credentials.asEnvironment: true), or into extraEnv" (join " and " .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
