locals {
  mssql_init_selector = {
    "app.kubernetes.io/name"      = "mssql-init"
    "app.kubernetes.io/component" = "init"
  }
  mssql_init_labels = merge(var.labels, local.mssql_init_selector, { "app.kubernetes.io/version" = "0.1.0" })
}

# deploy/base/mssql-init/job.yaml is the reference. It is replaced, and so runs again, when the pipeline changes: the
# template names the ConfigMap by its content. mssql-init may be repeated.
resource "kubernetes_job_v1" "mssql_init" {
  metadata {
    name      = "mssql-init"
    namespace = var.namespace
    labels    = local.mssql_init_labels
  }
  spec {
    active_deadline_seconds = 1200
    backoff_limit           = 3
    completions             = 1
    parallelism             = 1
    template {
      metadata {
        labels = local.mssql_init_labels
      }
      spec {
        service_account_name             = "mssql-init"
        automount_service_account_token  = false
        enable_service_links             = false
        restart_policy                   = "Never"
        termination_grace_period_seconds = 30
        dns_config {
          option {
            name  = "ndots"
            value = "2"
          }
        }
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
          name              = "mssql-init"
          image             = var.images["mssql-init"]
          image_pull_policy = "IfNotPresent"
          args              = ["/etc/etl/pipeline/orders.yaml", "--wait", "5m"]
          env {
            name  = "MSSQL_ADMIN_URL_FILE"
            value = "/run/secrets/etl/admin/url"
          }
          env {
            name  = "MSSQL_METRICS_URL_FILE"
            value = "/run/secrets/etl/metrics/url"
          }
          resources {
            limits   = { "ephemeral-storage" = "64Mi", memory = "64Mi" }
            requests = { cpu = "50m", "ephemeral-storage" = "32Mi", memory = "64Mi" }
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
            name       = "source"
            mount_path = "/run/secrets/etl/source"
            read_only  = true
          }
          volume_mount {
            name       = "target"
            mount_path = "/run/secrets/etl/target"
            read_only  = true
          }
          volume_mount {
            name       = "metrics"
            mount_path = "/run/secrets/etl/metrics"
            read_only  = true
          }
          volume_mount {
            name       = "admin"
            mount_path = "/run/secrets/etl/admin"
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
          name = "source"
          secret {
            default_mode = "0440"
            secret_name  = "etl-source"
          }
        }
        volume {
          name = "target"
          secret {
            default_mode = "0440"
            secret_name  = "etl-target"
          }
        }
        volume {
          name = "metrics"
          secret {
            default_mode = "0440"
            secret_name  = "etl-metrics"
          }
        }
        volume {
          name = "admin"
          secret {
            default_mode = "0440"
            secret_name  = "mssql-admin"
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

  wait_for_completion = var.wait
  timeouts {
    create = "20m"
    update = "20m"
  }

  depends_on = [module.manifests]
}
