{{/* Chart name, at most 63 characters. */}}
{{- define "modelyard.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of everything in this release; shortened so that suffixes fit. */}}
{{- define "modelyard.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "modelyard.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "modelyard.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "modelyard.selectorLabels" -}}
app.kubernetes.io/name: {{ include "modelyard.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "modelyard.labels" -}}
{{ include "modelyard.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "modelyard.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "modelyard.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Reference of an image: (dict "image" .Values.image "root" .); the digest wins over the tag. */}}
{{- define "modelyard.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Where the Lease lies. */}}
{{- define "modelyard.leaseNamespace" -}}
{{- dig "lease" "namespace" .Release.Namespace .Values.config -}}
{{- end -}}

{{/* The operator's configuration file: what the values say, plus names of this release. */}}
{{- define "modelyard.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $names := dict "name" (include "modelyard.fullname" .) "namespace" .Release.Namespace -}}
{{- $_ := set $config "lease" (merge (default dict $config.lease) $names) -}}
{{- $stores := list -}}
{{- $seen := dict -}}
{{- range .Values.stores -}}
{{- $name := default "default" .name -}}
{{- if hasKey $seen $name -}}
{{- fail (printf "stores: two stores are named %s; objects name a store by storeName, so rename one" $name) -}}
{{- end -}}
{{- $_ := set $seen $name true -}}
{{- $stores = append $stores (omit . "credentialsSecretName") -}}
{{- end -}}
{{- $_ := set $config "stores" $stores -}}
{{- $operator := include "modelyard.image" (dict "image" .Values.image "root" .) -}}
{{- $trainer := include "modelyard.image" (dict "image" .Values.trainer.image "root" .) -}}
{{- $server := include "modelyard.image" (dict "image" .Values.server.image "root" .) -}}
{{- $_ := set $config "images" (dict "sentinel" $operator "trainer" $trainer "server" $server "pullPolicy" .Values.image.pullPolicy) -}}
{{- toYaml $config -}}
{{- end -}}
