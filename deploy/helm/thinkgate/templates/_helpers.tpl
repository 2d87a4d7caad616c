{{- define "thinkgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "thinkgate.selector" -}}
app.kubernetes.io/name: thinkgate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end -}}

{{- define "thinkgate.labels" -}}
app.kubernetes.io/name: thinkgate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "thinkgate.vllmName" -}}
{{ include "thinkgate.fullname" .root }}-vllm-{{ .engine.pool }}
{{- end -}}

{{- define "thinkgate.vllmSelector" -}}
app.kubernetes.io/name: vllm
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .engine.pool }}
{{- end -}}

{{- define "thinkgate.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "thinkgate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "thinkgate.secret" -}}
{{- default (include "thinkgate.fullname" .) .Values.secrets.existing -}}
{{- end -}}

{{/* The gateway's configuration: what the values say, and a pool for every vLLM of this release. */}}
{{- define "thinkgate.config" -}}
{{- $pools := dict -}}
{{- range $engine := .Values.vllm -}}
{{- $name := include "thinkgate.vllmName" (dict "root" $ "engine" $engine) -}}
{{- $replicas := list -}}
{{- range $i := until (int (default 1 $engine.replicas)) -}}
{{- $replicas = append $replicas (printf "http://%s-%d.%s.%s.svc:8000" $name $i $name $.Release.Namespace) -}}
{{- end -}}
{{- $pool := dict "model" $engine.servedName "replicas" $replicas -}}
{{- if $.Values.vllmDefaults.apiKeyFrom.secret -}}
{{- $_ := set $pool "api_key" "${VLLM_KEY}" -}}
{{- end -}}
{{- $_ := set $pools $engine.pool $pool -}}
{{- end -}}
{{- toYaml (mergeOverwrite (dict "pools" $pools) (deepCopy .Values.config)) -}}
{{- end -}}

{{/* The port of an address, or the default of what it is for. */}}
{{- define "thinkgate.portOf" -}}
{{- if regexMatch ":[0-9]+([/?].*)?$" .url -}}
{{- regexReplaceAll "^.*:([0-9]+)([/?].*)?$" .url "${1}" -}}
{{- else -}}
{{- .default -}}
{{- end -}}
{{- end -}}

{{/* Ports of what the gateways lean on besides vLLM: Redis, PostgreSQL, the issuer of tokens, the collector of traces. */}}
{{- define "thinkgate.servicePorts" -}}
{{- $ports := list -}}
{{- $config := .Values.config -}}
{{- with (dig "state" "url" "" $config) -}}
{{- $ports = append $ports (include "thinkgate.portOf" (dict "url" . "default" 6379)) -}}
{{- end -}}
{{- with (dig "decisions" "url" "" $config) -}}
{{- if hasPrefix "postgresql" . -}}
{{- $ports = append $ports (include "thinkgate.portOf" (dict "url" . "default" 5432)) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "issuer" "jwks_url" -}}
{{- with (dig "auth" "oidc" $name "" $config) -}}
{{- $ports = append $ports (include "thinkgate.portOf" (dict "url" . "default" (ternary 443 80 (hasPrefix "https:" .)))) -}}
{{- end -}}
{{- end -}}
{{- with (dig "tracing" "endpoint" "" $config) -}}
{{- $ports = append $ports (include "thinkgate.portOf" (dict "url" . "default" (ternary 443 80 (hasPrefix "https:" .)))) -}}
{{- end -}}
{{- range .Values.networkPolicy.servicePorts -}}
{{- $ports = append $ports (toString .) -}}
{{- end -}}
{{- $ports | uniq | join "," -}}
{{- end -}}
