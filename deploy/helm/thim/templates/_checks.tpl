{{/* What a schema cannot say.  Each refusal names the value and the way out. */}}
{{- define "thim.checks" -}}
{{- $values := .Values -}}
{{- if and (eq $values.mode "single") (gt (int $values.replicas) 1) -}}
{{- fail (printf "replicas: got %d, expected 1 with mode single: its store is one SQLite file, and two services would not share it but have one each. Several nodes need PostgreSQL: mode nodes" (int $values.replicas)) -}}
{{- end -}}
{{- if eq $values.mode "nodes" -}}
{{- if not $values.postgresql.host -}}
{{- fail "postgresql.host: got none, expected the host of the ledger with mode nodes" -}}
{{- end -}}
{{- if not $values.postgresql.passwordSecret.name -}}
{{- fail "postgresql.passwordSecret.name: got none, expected a secret with the password of the ledger's user" -}}
{{- end -}}
{{- if not $values.sealingKey.existingSecret -}}
{{- fail "sealingKey.existingSecret: got none, expected a secret with one key of 32 bytes for all nodes: what one seals the others must open" -}}
{{- end -}}
{{- if and (hasPrefix "verify-" $values.postgresql.sslmode) (not (or $values.postgresql.caSecret.name $values.postgresql.caConfigMap.name)) -}}
{{- fail (printf "postgresql.caSecret.name: got none, expected the CA of the ledger's certificate with sslmode %s" $values.postgresql.sslmode) -}}
{{- end -}}
{{- end -}}
{{- if and $values.tls.existingSecret $values.tls.certManager.enabled -}}
{{- fail "tls: got existingSecret and certManager, expected one of them" -}}
{{- end -}}
{{- if and $values.tls.certManager.enabled (not $values.tls.certManager.issuerRef.name) -}}
{{- fail "tls.certManager.issuerRef.name: got none, expected cert-manager's issuer" -}}
{{- end -}}
{{- range $name, $_ := include "thim.own-config" . | fromYaml -}}
{{- if hasKey $values.config $name -}}
{{- fail (printf "config.%s: expected no such key: the chart sets it" $name) -}}
{{- end -}}
{{- end -}}
{{- range list "ledger" "key_file" "tls_cert" "tls_key" "tls_ca_cert" "tls_ca_key" -}}
{{- if hasKey $values.config . -}}
{{- fail (printf "config.%s: expected no such key: the chart sets it, from postgresql, sealingKey or tls" .) -}}
{{- end -}}
{{- end -}}
{{- if $values.agent.enabled -}}
{{- include "thim.agent-checks" . -}}
{{- else if eq $values.mode "none" -}}
{{- fail "mode: got none and no agent, expected one of them" -}}
{{- end -}}
{{- end -}}

{{- define "thim.agent-checks" -}}
{{- $agent := .Values.agent -}}
{{- if and (eq .Values.mode "none") (not $agent.service) -}}
{{- fail "agent.service: got none, expected the URL of a thim with mode none" -}}
{{- end -}}
{{- if and (eq $agent.enrolment.how "secret") (not $agent.enrolment.secret.name) -}}
{{- fail "agent.enrolment.secret.name: got none, expected a secret with a token of the role registrar" -}}
{{- end -}}
{{- $url := default (printf "%s://" (include "thim.scheme" .)) $agent.service -}}
{{- if and (ne $agent.enrolment.how "none") (not (hasPrefix "https://" $url)) -}}
{{- fail "agent.enrolment.how: expected none, or a service with TLS: whoever is on the way could read the token" -}}
{{- end -}}
{{- range list "service" "state" "ca_file" "networks" "add_address" "token_file" "enrol_token_file" -}}
{{- if hasKey $agent.config . -}}
{{- fail (printf "agent.config.%s: expected no such key: the chart sets it" .) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $agent.devices "none") (not $agent.config.chip) -}}
{{- fail "agent.config.chip: got none, expected what the chip is, where the container sees no device" -}}
{{- end -}}
{{- end -}}
