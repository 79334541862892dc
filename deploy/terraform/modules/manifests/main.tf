# The objects without choices (accounts, roles, policies, services) are read from the manifests themselves, so
# that a rule is written once. deploy/tests/terraform.sh fails on a field that this module would not carry over.
locals {
  files = [
    for file in fileset(var.directory, "*.yaml") :
    yamldecode(replace(file("${var.directory}/${file}"), "192.0.2.10/32", var.postgres_cidr))
    if file != "kustomization.yaml"
  ]
  objects = {
    for kind in distinct([for object in local.files : object.kind]) : kind => {
      for object in local.files : "${try(object.metadata.namespace, var.namespace)}/${object.metadata.name}" => {
        name      = object.metadata.name
        namespace = try(object.metadata.namespace, var.namespace)
        labels    = merge(try(object.metadata.labels, {}), var.labels)
        object    = object
      } if object.kind == kind
    }
  }
}

resource "kubernetes_service_account_v1" "this" {
  for_each = lookup(local.objects, "ServiceAccount", {})
  metadata {
    name      = each.value.name
    namespace = each.value.namespace
    labels    = each.value.labels
  }
  automount_service_account_token = try(each.value.object.automountServiceAccountToken, true)
}

resource "kubernetes_service_v1" "this" {
  for_each = lookup(local.objects, "Service", {})
  metadata {
    name      = each.value.name
    namespace = each.value.namespace
    labels    = each.value.labels
  }
  spec {
    type       = try(each.value.object.spec.type, "ClusterIP")
    cluster_ip = try(each.value.object.spec.clusterIP, null)
    selector   = each.value.object.spec.selector
    dynamic "port" {
      for_each = each.value.object.spec.ports
      content {
        name        = port.value.name
        protocol    = try(port.value.protocol, "TCP")
        port        = port.value.port
        target_port = port.value.targetPort
      }
    }
  }
}
