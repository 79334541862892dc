# Lays each object of a render into DIR/<step>.yaml. Reads the form that kustomize writes: keys in
# order, two blanks of indentation. Every object has a step; the last rule takes what is left.
function step_of() {
  if (kind == "Namespace") return "namespaces"
  if (kind ~ /^(LimitRange|ResourceQuota|ServiceAccount|NetworkPolicy|ConfigMap|StorageClass|PriorityClass)$/) return "rules"
  if (kind ~ /^(Cluster)?Role(Binding)?$/) return "rules"
  if (kind ~ /^(ExternalSecret|SecretStore)$/) return "secrets"
  if (namespace == "monitoring") return "monitoring"
  if (namespace == "logging") return "logging"
  if (component == "database" || component == "source") return "data"
  if (component == "init") return "init"
  return "etl"
}
function flush() {
  if (text != "" && kind != "") printf "---\n%s", text > (dir "/" step_of() ".yaml")
  text = kind = namespace = component = section = ""
}
/^---/ { flush(); next }
{ text = text $0 "\n" }
/^[a-zA-Z]/ { section = $1 }
/^kind: / { kind = $2 }
section == "metadata:" && /^  namespace: / { namespace = $2 }
section == "metadata:" && /^    app\.kubernetes\.io\/component: / { component = $2 }
END { flush() }
