{{- define "thim.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "thim.fullname" -}}
{{- $name := include "thim.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "thim.agent.fullname" -}}
{{- include "thim.fullname" . }}-agent
{{- end -}}

{{/* What the service's pods are chosen by: it must never change. */}}
{{- define "thim.selector" -}}
app.kubernetes.io/name: {{ include "thim.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: service
{{- end -}}

{{- define "thim.agent.selector" -}}
app.kubernetes.io/name: {{ include "thim.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: agent
{{- end -}}

{{- define "thim.more-labels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "thim.labels" -}}
{{ include "thim.selector" . }}
{{ include "thim.more-labels" . }}
{{- end -}}

{{- define "thim.agent.labels" -}}
{{ include "thim.agent.selector" . }}
{{ include "thim.more-labels" . }}
{{- end -}}

{{- define "thim.service-account" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "thim.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* A reference to an image: (list repository tag digest). */}}
{{- define "thim.image" -}}
{{- index . 0 -}}:{{- index . 1 -}}{{- with index . 2 -}}@{{ . }}{{- end -}}
{{- end -}}

{{- define "thim.service-image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- include "thim.image" (list .Values.image.repository $tag .Values.image.digest) -}}
{{- end -}}

{{- define "thim.agent-image" -}}
{{- $own := .Values.agent.image -}}
{{- $repository := default (printf "%s-agent" .Values.image.repository) $own.repository -}}
{{- $tag := default (default .Chart.AppVersion .Values.image.tag) $own.tag -}}
{{- include "thim.image" (list $repository $tag $own.digest) -}}
{{- end -}}

{{- define "thim.tls-secret" -}}
{{- if .Values.tls.existingSecret -}}
{{- .Values.tls.existingSecret -}}
{{- else if .Values.tls.certManager.enabled -}}
{{- include "thim.fullname" . }}-tls
{{- end -}}
{{- end -}}

{{- define "thim.scheme" -}}
{{- if include "thim.tls-secret" . }}https{{ else }}http{{ end -}}
{{- end -}}

{{- define "thim.port" -}}
{{- default (ternary 443 80 (eq (include "thim.scheme" .) "https")) .Values.service.port | int64 -}}
{{- end -}}

{{/*
A value in TOML, on one line.  Helm reads each number as a float, and toToml
writes it as one, which no setting is.
*/}}
{{- define "thim.toml" -}}
{{- if kindIs "map" . -}}
{{- $parts := list -}}
{{- range $name, $value := . -}}
{{- $parts = append $parts (printf "%s = %s" (toJson $name) (include "thim.toml" $value)) -}}
{{- end -}}
{ {{ join ", " $parts }} }
{{- else if kindIs "slice" . -}}
{{- $parts := list -}}
{{- range . -}}
{{- $parts = append $parts (include "thim.toml" .) -}}
{{- end -}}
[{{ join ", " $parts }}]
{{- else if kindIs "float64" . -}}
{{- if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{- define "thim.ledger" -}}
{{- $pg := .Values.postgresql -}}
{{- $options := list (printf "sslmode=%s" $pg.sslmode) -}}
{{- if or $pg.caSecret.name $pg.caConfigMap.name -}}
{{- $options = append $options "sslrootcert=/run/secrets/thim/postgresql/ca.crt" -}}
{{- end -}}
{{- printf "postgresql://%s@%s:%d/%s?%s" $pg.user $pg.host (int64 $pg.port) $pg.database (join "&" $options) -}}
{{- end -}}

{{/* What the chart sets in thim.toml. */}}
{{- define "thim.own-config" -}}
listen: 0.0.0.0:8080
admin_listen: 0.0.0.0:8081
store: /var/lib/thim/thim.db
{{- if eq .Values.mode "nodes" }}
ledger: {{ include "thim.ledger" . | quote }}
{{- end }}
{{- if .Values.sealingKey.existingSecret }}
key_file: /run/secrets/thim/sealing/thim.key
{{- end }}
{{- if include "thim.tls-secret" . }}
tls_cert: /run/secrets/thim/tls/tls.crt
tls_key: /run/secrets/thim/tls/tls.key
{{- end }}
{{- with .Values.clusterIssuer }}
{{- if .url }}
openid:
  issuer: {{ .url | quote }}
  audience: {{ .audience | quote }}
  roles_claim: sub
  roles:
    {{- $own := printf "%s:%s" $.Release.Namespace (include "thim.agent.fullname" $) }}
    {{- range default (list $own) .agents }}
    {{ printf "system:serviceaccount:%s" . | quote }}: enrolment
    {{- end }}
  {{- with .keyOrigins }}
  key_origins: {{ toJson . }}
  {{- end }}
  {{- if .isApiServer }}
  ca_file: /run/secrets/thim/api-server/ca.crt
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A map as the lines of a TOML file. */}}
{{- define "thim.toml-lines" -}}
{{- $lines := list -}}
{{- range $name, $value := . -}}
{{- $lines = append $lines (printf "%s = %s" $name (include "thim.toml" $value)) -}}
{{- end -}}
{{- join "\n" $lines -}}
{{- end -}}

{{- define "thim.config" -}}
{{- $own := include "thim.own-config" . | fromYaml -}}
{{- include "thim.toml-lines" (merge $own .Values.config) -}}
{{- end -}}

{{/* Before the first install there is neither certificate nor issuer. */}}
{{- define "thim.migrate-config" -}}
{{- $own := include "thim.own-config" . | fromYaml -}}
{{- include "thim.toml-lines" (pick $own "store" "ledger" "key_file") -}}
{{- end -}}

{{- define "thim.agent-config" -}}
{{- $agent := .Values.agent -}}
{{- $inside := printf "%s://%s.%s.svc:%s" (include "thim.scheme" .) (include "thim.fullname" .) .Release.Namespace (include "thim.port" .) -}}
{{- $own := dict "service" (default $inside $agent.service) "state" "/var/lib/thim-agent" "add_address" true -}}
{{- if $agent.networks }}{{ $own = set $own "networks" $agent.networks }}{{ end -}}
{{- if or $agent.caSecret.name $agent.caConfigMap.name -}}
{{- $own = set $own "ca_file" "/run/secrets/thim/ca/ca.crt" -}}
{{- end -}}
{{- if ne $agent.enrolment.how "none" -}}
{{- $own = set $own "enrol_token_file" "/run/secrets/thim/enrol/token" -}}
{{- end -}}
[agent]
{{ include "thim.toml-lines" (merge $own $agent.config) }}
{{- end -}}

{{/* The volume NAME with a file from a secret or else a config map. */}}
{{- define "thim.ca-volume" -}}
{{- $name := index . 0 -}}{{- $secret := index . 1 -}}{{- $map := index . 2 -}}
{{- if $secret.name }}
- name: {{ $name }}
  secret:
    secretName: {{ $secret.name }}
    defaultMode: 0444
    items: [{key: {{ $secret.key }}, path: ca.crt}]
{{- else if $map.name }}
- name: {{ $name }}
  configMap:
    name: {{ $map.name }}
    items: [{key: {{ $map.key }}, path: ca.crt}]
{{- end }}
{{- end -}}
