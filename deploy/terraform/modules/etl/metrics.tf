locals {
  etl_metrics_selector = {
    "app.kubernetes.io/name"      = "etl-metrics"
    "app.kubernetes.io/component" = "metrics"
  }
  etl_metrics_labels = merge(var.labels, local.etl_metrics_selector, { "app.kubernetes.io/version" = "0.1.0" })
}

# deploy/base/metrics/deployment.yaml is the reference, with the reasons.
resource "kubernetes_deployment_v1" "etl_metrics" {
  metadata {
    name      = "etl-metrics"
    namespace = var.namespace
    labels    = local.etl_metrics_labels
  }
  spec {
    replicas               = 1
    revision_history_limit = 3
    selector {
      match_labels = local.etl_metrics_selector
    }
    strategy {
      rolling_update {
        max_surge       = 1
        max_unavailable = 0
      }
      type = "RollingUpdate"
    }
    template {
      metadata {
        labels = local.etl_metrics_labels
      }
      spec {
        service_account_name             = "etl-metrics"
        automount_service_account_token  = false
        enable_service_links             = false
        termination_grace_period_seconds = 10
        security_context {
          fs_group               = 65532
          fs_group_change_policy = "OnRootMismatch"
          run_as_group           = 65532
          run_as_non_root        = true
          run_as_user            = 65532
          seccomp_profile {
            type = "RuntimeDefault"
          }
        }
        container {
          name              = "etl-metrics"
          image             = var.images["etl-job"]
          image_pull_policy = "IfNotPresent"
          args              = ["serve", "--metrics-only", "/etc/etl/pipeline/orders.yaml", "--addr", "0.0.0.0:9464"]
          port {
            name           = "metrics"
            container_port = 9464
            protocol       = "TCP"
          }
          startup_probe {
            http_get {
              port = "metrics"
              path = "/healthz"
            }
            failure_threshold = 30
            period_seconds    = 2
          }
          readiness_probe {
            http_get {
              port = "metrics"
              path = "/healthz"
            }
            failure_threshold = 3
            period_seconds    = 10
            timeout_seconds   = 2
          }
          liveness_probe {
            http_get {
              port = "metrics"
              path = "/healthz"
            }
            failure_threshold = 3
            period_seconds    = 20
            timeout_seconds   = 5
          }
          resources {
            limits   = { "ephemeral-storage" = "64Mi", memory = "64Mi" }
            requests = { cpu = "20m", "ephemeral-storage" = "32Mi", memory = "64Mi" }
          }
          termination_message_policy = "FallbackToLogsOnError"
          security_context {
            allow_privilege_escalation = false
            capabilities {
              drop = ["ALL"]
            }
            read_only_root_filesystem = true
          }
          volume_mount {
            name       = "pipeline"
            mount_path = "/etc/etl/pipeline"
            read_only  = true
          }
          volume_mount {
            name       = "trust"
            mount_path = "/etc/etl/trust"
            read_only  = true
          }
          volume_mount {
            name       = "target"
            mount_path = "/run/secrets/etl/target"
            read_only  = true
          }
          volume_mount {
            name       = "tmp"
            mount_path = "/tmp"
          }
        }
        volume {
          name = "pipeline"
          config_map {
            name         = module.etl_pipeline.name
            default_mode = "0444"
          }
        }
        volume {
          name = "trust"
          config_map {
            name         = "etl-trust"
            default_mode = "0444"
          }
        }
        volume {
          name = "target"
          secret {
            default_mode = "0440"
            secret_name  = "etl-metrics"
          }
        }
        volume {
          name = "tmp"
          empty_dir {
            size_limit = "16Mi"
          }
        }
      }
    }
  }

  wait_for_rollout = var.wait

  depends_on = [module.manifests]
}
