# The objects without choices (accounts, roles, policies, services) are read from the manifests themselves, so
# that a rule is written once. deploy/tests/terraform.sh fails on a field that this module would not carry over.
locals {
  # Settings of the programs lie beside the manifests; they have no kind.
  documents = [
    for file in fileset(var.directory, "*.yaml") :
    yamldecode(replace(file("${var.directory}/${file}"), "/192\\.0\\.2\\.[0-9]+/32/", var.postgres_cidr))
    if file != "kustomization.yaml"
  ]
  manifests = [for document in local.documents : document if can(document.kind)]
  objects = {
    for kind in distinct([for object in local.manifests : object.kind]) : kind => {
      for object in local.manifests : "${try(object.metadata.namespace, var.namespace)}/${object.metadata.name}" => {
        name      = object.metadata.name
        namespace = try(object.metadata.namespace, var.namespace)
        labels    = merge(try(object.metadata.labels, {}), var.labels)
        object    = object
      } if object.kind == kind
    }
  }
}
