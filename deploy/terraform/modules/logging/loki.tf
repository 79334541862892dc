locals {
  loki_selector = {
    "app.kubernetes.io/name"      = "loki"
    "app.kubernetes.io/component" = "logging"
  }
  loki_labels = merge(var.labels, local.loki_selector, { "app.kubernetes.io/version" = "3.5.5" })
}

# deploy/logging/loki/statefulset.yaml is the reference, with the reasons.
resource "kubernetes_stateful_set_v1" "loki" {
  metadata {
    name      = "loki"
    namespace = var.namespace
    labels    = local.loki_labels
  }
  spec {
    service_name = "loki"
    replicas     = 1
    selector {
      match_labels = local.loki_selector
    }
    template {
      metadata {
        labels = local.loki_labels
      }
      spec {
        service_account_name             = "loki"
        automount_service_account_token  = false
        enable_service_links             = false
        termination_grace_period_seconds = 120
        security_context {
          fs_group               = 10001
          fs_group_change_policy = "OnRootMismatch"
          run_as_group           = 10001
          run_as_non_root        = true
          run_as_user            = 10001
          seccomp_profile {
            type = "RuntimeDefault"
          }
        }
        container {
          name  = "loki"
          image = var.images["docker.io/grafana/loki"]
          args  = ["-config.file=/etc/loki/loki.yaml", "-target=all"]
          port {
            name           = "http"
            container_port = 3100
          }
          startup_probe {
            http_get {
              port = "http"
              path = "/ready"
            }
            failure_threshold = 60
            period_seconds    = 5
          }
          readiness_probe {
            http_get {
              port = "http"
              path = "/ready"
            }
            period_seconds  = 10
            timeout_seconds = 3
          }
          liveness_probe {
            http_get {
              port = "http"
              path = "/metrics"
            }
            failure_threshold = 6
            period_seconds    = 20
            timeout_seconds   = 5
          }
          resources {
            limits   = { memory = "768Mi" }
            requests = { cpu = "50m", memory = "192Mi" }
          }
          security_context {
            allow_privilege_escalation = false
            capabilities {
              drop = ["ALL"]
            }
            read_only_root_filesystem = true
          }
          volume_mount {
            name       = "data"
            mount_path = "/loki"
          }
          volume_mount {
            name       = "tmp"
            mount_path = "/tmp"
          }
          volume_mount {
            name       = "config"
            mount_path = "/etc/loki"
            read_only  = true
          }
        }
        volume {
          name = "tmp"
          empty_dir {
            size_limit = "64Mi"
          }
        }
        volume {
          name = "config"
          config_map {
            name = module.config["loki-config"].name
          }
        }
      }
    }
    volume_claim_template {
      metadata {
        name   = "data"
        labels = merge(var.labels, local.loki_selector)
      }
      spec {
        access_modes = ["ReadWriteOnce"]
        resources {
          requests = { storage = "10Gi" }
        }
        storage_class_name = var.storage_class
      }
    }
  }

  wait_for_rollout = var.wait

  depends_on = [module.manifests]
}
