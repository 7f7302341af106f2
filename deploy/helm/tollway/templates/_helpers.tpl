{{/* Labels of every object. `app.kubernetes.io/instance` is not among them: Argo CD tracks by it. */}}
{{- define "tollway.labels" -}}
{{ include "tollway.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What selects the pods of a component; it never changes. */}}
{{- define "tollway.selector" -}}
app.kubernetes.io/name: tollway
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "tollway.image" -}}
{{- $image := .image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Labels and annotations of a component's pods. Nothing of the chart's version, so that a new chart restarts no pod. */}}
{{- define "tollway.podMetadata" -}}
labels:
  {{- include "tollway.selector" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tollway.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "tollway.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Where a component's pods may run: on as many nodes and in as many zones as there are. `.of` are its values. */}}
{{- define "tollway.scheduling" -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "tollway.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- with .of.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{/* Where endpoints may be beside on the internet; our own embedding service is no secret. */}}
{{- define "tollway.allowEndpoints" -}}
{{- $service := printf "tollway-embedding.%s" .Release.Namespace -}}
{{- $own := ternary (list $service (printf "%s.svc" $service)) list .Values.embedding.enabled -}}
{{- join "," (concat .Values.allowEndpoints $own) -}}
{{- end }}

{{/* Both planes know both Redis, by files, so that a password that is changed needs no restart. */}}
{{- define "tollway.redisUrls" -}}
{{- $redis := .root.Values.redis -}}
{{- $keys := ternary (dict "cache" "cache" "ledger" "ledger") $redis.keys $redis.trial.enabled -}}
- name: TOLLWAY_CACHE_REDIS_URL
  value: file:///etc/tollway/redis/{{ $keys.cache }}
- name: TOLLWAY_LEDGER_REDIS_URL
  value: file:///etc/tollway/redis/{{ $keys.ledger }}
{{- if and $keys.cacheReplica (eq .component "dataplane") }}
- name: TOLLWAY_CACHE_REPLICA_REDIS_URL
  value: file:///etc/tollway/redis/{{ $keys.cacheReplica }}
{{- end }}
{{- end }}

{{- define "tollway.redisVolume" -}}
{{- $redis := .root.Values.redis -}}
{{- $secret := ternary "tollway-redis" $redis.existingSecret $redis.trial.enabled -}}
{{- if and $redis.operatorSecret (eq .component "operator") }}{{ $secret = $redis.operatorSecret }}{{ end -}}
- name: redis
  secret: {secretName: {{ $secret | quote }}}
{{- end }}

{{/* The Secrets in which a snapshot is published beside the first, as a YAML list: two slots of eight parts. */}}
{{- define "tollway.snapshotParts" -}}
{{- range $slot := list "a" "b" }}
{{- range $number := untilStep 1 9 1 }}
- {{ $slot }}-{{ $number }}
{{- end }}
{{- end }}
{{- end }}

{{/* What no schema can say well. */}}
{{- define "tollway.check" -}}
{{- $redis := .Values.redis -}}
{{- if and (not $redis.existingSecret) (not $redis.trial.enabled) }}
{{- fail (printf "\n\nTollway needs two Redis: a cache with vector search that may forget, and a ledger that must not. Say where they are in a Secret, and name it:\n\n  kubectl create secret generic tollway-redis -n %s \\\n    --from-literal=cache=rediss://:PASSWORD@HOST:6379/0 --from-literal=ledger=rediss://:PASSWORD@OTHER:6379/0\n  helm … --set redis.existingSecret=tollway-redis\n\nFor a trial on one small node: helm … -f values-trial.yaml\n" .Release.Namespace) }}
{{- end }}
{{- if and $redis.existingSecret $redis.trial.enabled }}
{{- fail "\n\nredis.trial.enabled brings its own Redis, and redis.existingSecret names others; unset one of them.\n" }}
{{- end }}
{{- range $name := list "dataplane" "embedding" }}
{{- with (index $.Values $name).autoscaling }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
{{- fail (printf "\n\n%s.autoscaling.minReplicas is %v, which is above maxReplicas, %v.\n" $name .minReplicas .maxReplicas) }}
{{- end }}
{{- if and .enabled (not (dig "requests" "cpu" "" (index $.Values $name).resources)) }}
{{- fail (printf "\n\n%s.autoscaling goes by the share of the CPU that pods ask for; say how much that is in %s.resources.requests.cpu.\n" $name $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
