# A namespace with its Pod Security level, defaults and quota, as its manifests say.
variable "directory" { type = string }
variable "labels" { type = map(string) }

variable "quota" {
  description = "Limits that are to differ from the manifest's."
  type        = map(string)
  default     = {}
}

locals {
  namespace  = yamldecode(file("${var.directory}/namespace.yaml"))
  limitrange = yamldecode(file("${var.directory}/limitrange.yaml"))
  quota      = yamldecode(file("${var.directory}/resourcequota.yaml"))
  version    = { "app.kubernetes.io/version" = "0.1.0" }
}

resource "kubernetes_namespace_v1" "this" {
  metadata {
    name   = local.namespace.metadata.name
    labels = merge(local.namespace.metadata.labels, var.labels, local.version)
  }

  # It holds the volumes. To take it away, delete this block first: then you have meant it.
  lifecycle {
    prevent_destroy = true
  }
}

resource "kubernetes_limit_range_v1" "defaults" {
  metadata {
    name      = local.limitrange.metadata.name
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = merge(local.limitrange.metadata.labels, var.labels, local.version)
  }
  spec {
    dynamic "limit" {
      for_each = local.limitrange.spec.limits
      content {
        type            = limit.value.type
        default         = limit.value.default
        default_request = limit.value.defaultRequest
      }
    }
  }
}

resource "kubernetes_resource_quota_v1" "quota" {
  metadata {
    name      = local.quota.metadata.name
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = merge(local.quota.metadata.labels, var.labels, local.version)
  }
  spec {
    hard = merge(local.quota.spec.hard, var.quota)
  }
}

output "name" {
  value = kubernetes_namespace_v1.this.metadata[0].name
}
