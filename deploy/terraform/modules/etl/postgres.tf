# The source is outside of the cluster: a name for it, and where it leads.
locals {
  postgres_labels = merge(var.labels, {
    "app.kubernetes.io/name"      = "postgres"
    "app.kubernetes.io/component" = "source"
    "app.kubernetes.io/version"   = "0.1.0"
  })
}

resource "kubernetes_service_v1" "postgres" {
  metadata {
    name      = "postgres"
    namespace = var.namespace
    labels    = local.postgres_labels
  }
  spec {
    type          = var.postgres.name == null ? "ClusterIP" : "ExternalName"
    external_name = var.postgres.name
    port {
      name        = "postgres"
      protocol    = "TCP"
      port        = 5432
      target_port = 5432
    }
  }
}

# The manifests have an EndpointSlice. The provider's type for it is younger than 2.21, and every version has this
# one; the control plane mirrors it into a slice.
resource "kubernetes_endpoints_v1" "postgres" {
  count = var.postgres.address == null ? 0 : 1
  metadata {
    name      = kubernetes_service_v1.postgres.metadata[0].name
    namespace = var.namespace
    labels    = local.postgres_labels
  }
  subset {
    address {
      ip = var.postgres.address
    }
    port {
      name     = "postgres"
      protocol = "TCP"
      port     = 5432
    }
  }
}
