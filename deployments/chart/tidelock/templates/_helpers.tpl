{{- define "tidelock.name" -}}
{{- if contains "tidelock" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-tidelock{{ end -}}
{{- end }}

{{/* The labels that select a workload's pods, and never change: (list $ "relay"). */}}
{{- define "tidelock.selector" -}}
app.kubernetes.io/name: tidelock
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "tidelock.labels" -}}
{{ include "tidelock.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{- define "tidelock.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* A pod that can do nothing but open connections. */}}
{{- define "tidelock.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "tidelock.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{/* The settings that all workloads share. */}}
{{- define "tidelock.env" -}}
- name: TIDELOCK_DATABASE_URL
  valueFrom: { secretKeyRef: { name: {{ .Values.secret.name }}, key: {{ .Values.secret.databaseKey }} } }
- name: TIDELOCK_VALKEY_URL
  valueFrom: { secretKeyRef: { name: {{ .Values.secret.name }}, key: {{ .Values.secret.valkeyKey }} } }
- name: TIDELOCK_NATS_URL
  valueFrom: { secretKeyRef: { name: {{ .Values.secret.name }}, key: {{ .Values.secret.natsKey }} } }
{{- if .Values.valkeyCA.name }}
- { name: TIDELOCK_VALKEY_CA, value: /etc/tidelock/valkey/{{ .Values.valkeyCA.key }} }
{{- end }}
{{- if .Values.natsCreds.name }}
- { name: TIDELOCK_NATS_CREDS, value: /etc/tidelock/nats/{{ .Values.natsCreds.key }} }
{{- end }}
- { name: TIDELOCK_LOG_FORMAT, value: {{ .Values.logFormat }} }
{{- with .Values.otlpEndpoint }}
- { name: TIDELOCK_OTLP_ENDPOINT, value: {{ . | quote }} }
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tidelock.mounts" -}}
{{- if .Values.valkeyCA.name }}
- { name: valkey-ca, mountPath: /etc/tidelock/valkey, readOnly: true }
{{- end }}
{{- if .Values.natsCreds.name }}
- { name: nats-creds, mountPath: /etc/tidelock/nats, readOnly: true }
{{- end }}
{{- end }}

{{- define "tidelock.volumes" -}}
{{- if .Values.valkeyCA.name }}
- name: valkey-ca
  secret: { secretName: {{ .Values.valkeyCA.name }}, defaultMode: 0440 }
{{- end }}
{{- if .Values.natsCreds.name }}
- name: nats-creds
  secret: { secretName: {{ .Values.natsCreds.name }}, defaultMode: 0440 }
{{- end }}
{{- end }}

{{/* A rule for egress: peers and ports, (list target protocols). */}}
{{- define "tidelock.egress" -}}
- ports:
{{- range $port := (index . 0).ports }}
{{- range $protocol := (index $ 1) }}
    - { port: {{ $port }}, protocol: {{ $protocol }} }
{{- end }}
{{- end }}
{{- with (index . 0).to }}
  to:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}
