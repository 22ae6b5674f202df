{{/* The pod template of StatefulSet and Deployment. */}}

{{- define "shipper.podTemplate" -}}
metadata:
  labels:
    {{- toYaml (mergeOverwrite (deepCopy .Values.commonLabels) (deepCopy .Values.podLabels) (include "shipper.selectorLabels" . | fromYaml)) | nindent 4 }}
    app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
  {{- $annotations := mergeOverwrite (dict "kubectl.kubernetes.io/default-container" "shipper") (deepCopy .Values.commonAnnotations) (deepCopy .Values.podAnnotations) }}
  {{- if not (or .Values.hotReload .Values.existingConfigMap) }}
  {{- $_ := set $annotations "checksum/config" (include "shipper.config" . | sha256sum) }}
  {{- end }}
  annotations:
    {{- toYaml $annotations | nindent 4 }}
spec:
  serviceAccountName: {{ include "shipper.serviceAccountName" . }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automountToken }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ int64 .Values.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    {{- $own := dict "labelSelector" (dict "matchLabels" (include "shipper.selectorLabels" $ | fromYaml)) }}
    - {{ toYaml (hasKey . "labelSelector" | ternary . (merge $own .)) | nindent 6 | trim }}
    {{- end }}
  {{- end }}
  {{- with .Values.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.extraInitContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - {{ include "shipper.container" . | nindent 6 | trim }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "shipper.volumes" . | nindent 4 }}
{{- end -}}
