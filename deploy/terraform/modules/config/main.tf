# A ConfigMap whose name follows its content: what mounts it is rolled out when the content changes.
variable "name" { type = string }
variable "namespace" { type = string }
variable "labels" { type = map(string) }
variable "data" { type = map(string) }

resource "kubernetes_config_map_v1" "this" {
  metadata {
    name      = "${var.name}-${substr(sha256(jsonencode(var.data)), 0, 10)}"
    namespace = var.namespace
    labels    = var.labels
  }
  data = var.data

  # The old one stays until nothing mounts it any more.
  lifecycle {
    create_before_destroy = true
  }
}

output "name" {
  value = kubernetes_config_map_v1.this.metadata[0].name
}
