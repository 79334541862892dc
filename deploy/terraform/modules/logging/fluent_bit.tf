locals {
  fluent_bit_selector = {
    "app.kubernetes.io/name"      = "fluent-bit"
    "app.kubernetes.io/component" = "logging"
  }
  fluent_bit_labels = merge(var.labels, local.fluent_bit_selector, { "app.kubernetes.io/version" = "4.0.10" })
}

# deploy/logging/fluent-bit/daemonset.yaml is the reference, with the reasons.
resource "kubernetes_daemon_set_v1" "fluent_bit" {
  metadata {
    name      = "fluent-bit"
    namespace = var.namespace
    labels    = local.fluent_bit_labels
  }
  spec {
    selector {
      match_labels = local.fluent_bit_selector
    }
    strategy {
      rolling_update {
        max_unavailable = 1
      }
      type = "RollingUpdate"
    }
    template {
      metadata {
        labels = local.fluent_bit_labels
      }
      spec {
        service_account_name             = "fluent-bit"
        automount_service_account_token  = true
        enable_service_links             = false
        termination_grace_period_seconds = 30
        node_selector                    = { "kubernetes.io/os" = "linux" }
        security_context {
          run_as_group = 0
          run_as_user  = 0
          seccomp_profile {
            type = "RuntimeDefault"
          }
        }
        toleration {
          effect   = "NoSchedule"
          key      = "node-role.kubernetes.io/control-plane"
          operator = "Exists"
        }
        toleration {
          effect   = "NoExecute"
          key      = "node-role.kubernetes.io/etcd"
          operator = "Exists"
        }
        container {
          name  = "fluent-bit"
          image = var.images["docker.io/fluent/fluent-bit"]
          args  = ["--config=/etc/fluent-bit/fluent-bit.yaml"]
          env {
            name  = "LOG_DIR"
            value = "/var/log/containers"
          }
          env {
            name  = "BUFFER_DIR"
            value = "/var/lib/fluent-bit"
          }
          env {
            name  = "LOKI_HOST"
            value = "loki.logging.svc"
          }
          env {
            name = "NODE_NAME"
            value_from {
              field_ref {
                field_path = "spec.nodeName"
              }
            }
          }
          port {
            name           = "http"
            container_port = 2020
          }
          readiness_probe {
            http_get {
              port = "http"
              path = "/api/v1/health"
            }
            period_seconds  = 10
            timeout_seconds = 3
          }
          liveness_probe {
            http_get {
              port = "http"
              path = "/api/v1/uptime"
            }
            failure_threshold     = 4
            initial_delay_seconds = 10
            period_seconds        = 15
            timeout_seconds       = 5
          }
          resources {
            limits   = { memory = "192Mi" }
            requests = { cpu = "20m", memory = "48Mi" }
          }
          security_context {
            allow_privilege_escalation = false
            capabilities {
              drop = ["ALL"]
            }
            read_only_root_filesystem = true
          }
          volume_mount {
            name       = "config"
            mount_path = "/etc/fluent-bit"
            read_only  = true
          }
          volume_mount {
            name       = "logs"
            mount_path = "/var/log"
            read_only  = true
          }
          volume_mount {
            name       = "buffer"
            mount_path = "/var/lib/fluent-bit"
          }
        }
        volume {
          name = "config"
          config_map {
            name = module.config["fluent-bit-config"].name
          }
        }
        volume {
          name = "logs"
          host_path {
            path = "/var/log"
            type = "Directory"
          }
        }
        volume {
          name = "buffer"
          host_path {
            path = "/var/lib/etl-fluent-bit"
            type = "DirectoryOrCreate"
          }
        }
      }
    }
  }

  wait_for_rollout = var.wait

  depends_on = [module.manifests]
}
