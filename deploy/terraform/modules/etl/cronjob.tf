locals {
  etl_orders_selector = {
    "app.kubernetes.io/name"      = "etl-job"
    "app.kubernetes.io/component" = "pipeline"
  }
  etl_orders_labels = merge(var.labels, local.etl_orders_selector, { "app.kubernetes.io/version" = "0.1.0" })
}

# deploy/base/etl/cronjob.yaml is the reference, with the reasons. Left out, because not every version of the
# provider from 2.21 on has it: podFailurePolicy and podReplacementPolicy. Without them an exit code 64, 65, 70 or 77
# is tried twice more.
resource "kubernetes_cron_job_v1" "etl_orders" {
  metadata {
    name      = "etl-orders"
    namespace = var.namespace
    labels    = local.etl_orders_labels
  }
  spec {
    schedule                      = var.schedule
    timezone                      = "Etc/UTC"
    concurrency_policy            = "Forbid"
    starting_deadline_seconds     = 120
    failed_jobs_history_limit     = 12
    successful_jobs_history_limit = 3
    job_template {
      metadata {
        labels = local.etl_orders_labels
      }
      spec {
        active_deadline_seconds    = 280
        backoff_limit              = 2
        ttl_seconds_after_finished = 3600
        template {
          metadata {
            labels = local.etl_orders_labels
          }
          spec {
            service_account_name             = "etl-orders"
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
              name              = "etl-job"
              image             = var.images["etl-job"]
              image_pull_policy = "IfNotPresent"
              args              = ["run", "/etc/etl/pipeline/orders.yaml", "--json"]
              resources {
                limits   = { "ephemeral-storage" = "64Mi", memory = "128Mi" }
                requests = { cpu = "100m", "ephemeral-storage" = "32Mi", memory = "128Mi" }
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
              name = "tmp"
              empty_dir {
                size_limit = "16Mi"
              }
            }
          }
        }
      }
    }
  }

  depends_on = [module.manifests, kubernetes_job_v1.mssql_init]

  # Who suspends it by hand is not overruled by the next apply.
  lifecycle {
    ignore_changes = [spec[0].suspend]
  }
}
