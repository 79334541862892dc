locals {
  mssql_selector = {
    "app.kubernetes.io/name"      = "mssql"
    "app.kubernetes.io/component" = "database"
  }
  mssql_labels = merge(var.labels, local.mssql_selector, { "app.kubernetes.io/version" = "2022-CU14" })
}

# deploy/base/mssql/statefulset.yaml is the reference, with the reasons. The claims' retention is left out: the type for
# it is younger than provider 2.21, and to retain them is the default.
resource "kubernetes_stateful_set_v1" "mssql" {
  metadata {
    name      = "mssql"
    namespace = var.namespace
    labels    = local.mssql_labels
  }
  spec {
    service_name           = "mssql-headless"
    replicas               = 1
    revision_history_limit = 3
    pod_management_policy  = "OrderedReady"
    selector {
      match_labels = local.mssql_selector
    }
    update_strategy {
      type = "RollingUpdate"
    }
    template {
      metadata {
        labels = local.mssql_labels
      }
      spec {
        service_account_name             = "mssql"
        automount_service_account_token  = false
        enable_service_links             = false
        termination_grace_period_seconds = 60
        node_selector                    = { "kubernetes.io/arch" = "amd64", "kubernetes.io/os" = "linux" }
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
          name              = "mssql"
          image             = var.images["mcr.microsoft.com/mssql/server"]
          image_pull_policy = "IfNotPresent"
          env {
            name  = "ACCEPT_EULA"
            value = "Y"
          }
          env {
            name  = "MSSQL_PID"
            value = var.edition
          }
          env {
            name  = "MSSQL_MEMORY_LIMIT_MB"
            value = var.memory_limit_mb
          }
          env {
            name = "MSSQL_SA_PASSWORD"
            value_from {
              secret_key_ref {
                name = "mssql-sa"
                key  = "password"
              }
            }
          }
          env {
            name = "SQLCMDPASSWORD"
            value_from {
              secret_key_ref {
                name = "mssql-sa"
                key  = "password"
              }
            }
          }
          port {
            name           = "tds"
            container_port = 1433
            protocol       = "TCP"
          }
          startup_probe {
            tcp_socket {
              port = "tds"
            }
            failure_threshold = 30
            period_seconds    = 10
          }
          readiness_probe {
            exec {
              command = [
                "/opt/mssql-tools18/bin/sqlcmd",
                "-C",
                "-b",
                "-S",
                "tcp:localhost,1433",
                "-U",
                "sa",
                "-l",
                "5",
                "-t",
                "5",
                "-Q",
                "SET NOCOUNT ON; SELECT 1",
              ]
            }
            failure_threshold = 4
            period_seconds    = 15
            timeout_seconds   = 10
          }
          liveness_probe {
            tcp_socket {
              port = "tds"
            }
            failure_threshold = 6
            period_seconds    = 20
            timeout_seconds   = 5
          }
          resources {
            limits   = var.limits
            requests = var.requests
          }
          termination_message_policy = "FallbackToLogsOnError"
          security_context {
            allow_privilege_escalation = false
            capabilities {
              add  = ["NET_BIND_SERVICE"]
              drop = ["ALL"]
            }
            read_only_root_filesystem = false
          }
          volume_mount {
            name       = "data"
            mount_path = "/var/opt/mssql"
          }
          volume_mount {
            name       = "conf"
            mount_path = "/var/opt/mssql/mssql.conf"
            read_only  = true
            sub_path   = "mssql.conf"
          }
          volume_mount {
            name       = "tls"
            mount_path = "/etc/mssql/tls"
            read_only  = true
          }
        }
        volume {
          name = "conf"
          config_map {
            name         = module.mssql_conf.name
            default_mode = "0444"
          }
        }
        volume {
          name = "tls"
          secret {
            default_mode = "0440"
            secret_name  = "mssql-tls"
          }
        }
      }
    }
    volume_claim_template {
      metadata {
        name   = "data"
        labels = merge(var.labels, local.mssql_selector)
      }
      spec {
        access_modes = ["ReadWriteOnce"]
        resources {
          requests = { storage = var.storage }
        }
        storage_class_name = var.storage_class
      }
    }
  }

  wait_for_rollout = var.wait

  depends_on = [module.manifests]
}
