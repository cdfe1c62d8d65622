{{/* What the service's pods and the migration's have in common. */}}
{{- define "thim.pod-security" -}}
runAsNonRoot: true
{{- if not .Values.openshift }}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "thim.container-security" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- end -}}

{{- define "thim.env" -}}
- name: THIM_CONFIG
  value: /etc/thim/thim.toml
{{- if eq .Values.mode "nodes" }}
- name: PGPASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .Values.postgresql.passwordSecret.name }}
      key: {{ .Values.postgresql.passwordSecret.key }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What whoever works on the store needs. */}}
{{- define "thim.store-mounts" -}}
- name: config
  mountPath: /etc/thim
  readOnly: true
- name: data
  mountPath: /var/lib/thim
- name: tmp
  mountPath: /tmp
{{- if .Values.sealingKey.existingSecret }}
- name: sealing
  mountPath: /run/secrets/thim/sealing
  readOnly: true
{{- end }}
{{- if and (eq .Values.mode "nodes") (or .Values.postgresql.caSecret.name .Values.postgresql.caConfigMap.name) }}
- name: postgresql-ca
  mountPath: /run/secrets/thim/postgresql
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "thim.mounts" -}}
{{ include "thim.store-mounts" . }}
{{- if include "thim.tls-secret" . }}
- name: tls
  mountPath: /run/secrets/thim/tls
  readOnly: true
{{- end }}
{{- if and .Values.clusterIssuer.url .Values.clusterIssuer.isApiServer }}
- name: api-server-ca
  mountPath: /run/secrets/thim/api-server
  readOnly: true
{{- end }}
{{- end -}}

{{/* All volumes of the store's but data and config, which differ. */}}
{{- define "thim.store-volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- if .Values.sealingKey.existingSecret }}
- name: sealing
  secret:
    secretName: {{ .Values.sealingKey.existingSecret }}
    defaultMode: 0440
    items: [{key: {{ .Values.sealingKey.key }}, path: thim.key}]
{{- end }}
{{- if eq .Values.mode "nodes" }}
{{- with include "thim.ca-volume" (list "postgresql-ca" .Values.postgresql.caSecret .Values.postgresql.caConfigMap) | trim }}
{{ . }}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "thim.volumes" -}}
{{ include "thim.store-volumes" . }}
{{- with include "thim.tls-secret" . }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- if and .Values.clusterIssuer.url .Values.clusterIssuer.isApiServer }}
# Kubernetes puts it into every namespace.
- name: api-server-ca
  configMap:
    name: kube-root-ca.crt
{{- end }}
{{- end -}}

{{/* A container that does one thing: (list context name args mounts). */}}
{{- define "thim.one-off" -}}
{{- $context := index . 0 -}}
name: {{ index . 1 }}
image: {{ include "thim.service-image" $context }}
imagePullPolicy: {{ $context.Values.image.pullPolicy }}
args: {{ index . 2 | toJson }}
env:
  {{- include "thim.env" $context | nindent 2 }}
resources:
  {{- toYaml $context.Values.resources | nindent 2 }}
securityContext:
  {{- include "thim.container-security" $context | nindent 2 }}
volumeMounts:
  {{- include (index . 3) $context | nindent 2 }}
{{- end -}}

{{- define "thim.probe" -}}
httpGet:
  path: {{ index . 1 }}
  port: main
  scheme: {{ include "thim.scheme" (index . 0) | upper }}
{{- end -}}

{{- define "thim.container" -}}
name: thim
image: {{ include "thim.service-image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve]
env:
  {{- include "thim.env" . | nindent 2 }}
ports:
  - {name: main, containerPort: 8080, protocol: TCP}
  - {name: admin, containerPort: 8081, protocol: TCP}
# Two minutes for a replica that is copied anew.
startupProbe:
  {{- include "thim.probe" (list . "/health/startup") | nindent 2 }}
  periodSeconds: 2
  failureThreshold: 60
readinessProbe:
  {{- include "thim.probe" (list . "/health/ready") | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
livenessProbe:
  {{- include "thim.probe" (list . "/health/live") | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
lifecycle:
  preStop:
    # Until nobody is sent here any more.
    exec:
      command: [/opt/thim/bin/python, -c, "import time; time.sleep(5)"]
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- include "thim.container-security" . | nindent 2 }}
volumeMounts:
  {{- include "thim.mounts" . | nindent 2 }}
{{- end -}}

{{/* Labels and annotations of the service's pods. */}}
{{- define "thim.pod-metadata" -}}
labels:
  {{- include "thim.labels" . | nindent 2 }}
  {{- with .Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  # Another configuration is another pod.
  checksum/config: {{ include "thim.config" . | sha256sum }}
  {{- with .Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "thim.pod-common" -}}
serviceAccountName: {{ include "thim.service-account" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "thim.pod-security" . | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
