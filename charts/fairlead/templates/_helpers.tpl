{{- /* What names start with: the release's name, with the chart's in it once. 40 characters leave room for the suffixes within 63. */}}
{{- define "fairlead.prefix" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "fairlead.operatorName" -}}
{{ include "fairlead.prefix" . }}-operator
{{- end -}}

{{- /* app.kubernetes.io/name is what the NetworkPolicies of model pods admit to the agents' port. */}}
{{- define "fairlead.selectorLabels" -}}
app.kubernetes.io/name: fairlead-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "fairlead.labels" -}}
{{ include "fairlead.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* Another name than the operator's: those NetworkPolicies must not admit these pods. */}}
{{- define "fairlead.prePullLabels" -}}
app.kubernetes.io/name: fairlead-prepull
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "fairlead.prePullContainer" -}}
resources:
  requests: {cpu: 1m, memory: 16Mi}
  limits: {memory: 128Mi}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{- /* Required image: `helm lint` reports it as missing, `helm install` stops with this text. */}}
{{- define "fairlead.operatorImage" -}}
{{ required "images.operator is empty: write the operator's image, for example registry.example.com/fairlead/operator:0.1.0 (docs/install.md says how to build it)" .Values.images.operator }}
{{- end -}}

{{- define "fairlead.operatorConfig" -}}
{{- range $engine, $versions := .Values.images.engines -}}
{{- range $version, $image := $versions -}}
{{- $_ := required (printf "images.engines.%s.\"%s\" is empty: write the image that runs this engine version, for example registry.example.com/fairlead/%s:%s (docs/install.md says how to build it)" $engine $version $engine $version) $image -}}
{{- end -}}
{{- end -}}
{{- $prometheus := .Values.prometheus -}}
{{- dict
  "images" (dict "sidecar" .Values.images.sidecar "engines" .Values.images.engines)
  "allowedEngineFlags" .Values.engine.allowedFlags
  "modelHub" .Values.modelHub
  "prometheus" (ternary nil (omit $prometheus "ports") (empty $prometheus.url))
  "scrapeFrom" .Values.scrapeFrom
  "operatorNamespace" .Release.Namespace
  "lease" (include "fairlead.operatorName" .)
  "namespaces" .Values.watchNamespaces
  "workers" .Values.workers
  "resyncSeconds" .Values.resyncSeconds
  "logLevel" .Values.logLevel
  "listenPort" 8080
| toPrettyJson -}}
{{- end -}}
