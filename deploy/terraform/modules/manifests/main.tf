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
