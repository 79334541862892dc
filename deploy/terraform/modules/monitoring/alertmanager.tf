locals {
  alertmanager_selector = {
    "app.kubernetes.io/name"      = "alertmanager"
    "app.kubernetes.io/component" = "monitoring"
  }
  alertmanager_labels = merge(var.labels, local.alertmanager_selector, { "app.kubernetes.io/version" = "v0.28.1" })
}

# deploy/monitoring/alertmanager/statefulset.yaml is the reference, with the reasons.
resource "kubernetes_stateful_set_v1" "alertmanager" {
  metadata {
    name      = "alertmanager"
    namespace = var.namespace
    labels    = local.alertmanager_labels
  }
  spec {
    service_name = "alertmanager"
    replicas     = 1
    selector {
      match_labels = local.alertmanager_selector
    }
    template {
      metadata {
        labels = local.alertmanager_labels
      }
      spec {
        service_account_name             = "alertmanager"
        automount_service_account_token  = false
        enable_service_links             = false
        termination_grace_period_seconds = 30
        security_context {
          fs_group               = 65534
          fs_group_change_policy = "OnRootMismatch"
          run_as_group           = 65534
          run_as_non_root        = true
          run_as_user            = 65534
          seccomp_profile {
            type = "RuntimeDefault"
          }
        }
        container {
          name  = "alertmanager"
          image = var.images["docker.io/prom/alertmanager"]
          args = [
            "--config.file=/etc/alertmanager/alertmanager.yml",
            "--storage.path=/alertmanager",
            "--data.retention=120h",
            "--cluster.listen-address=",
            "--log.format=json",
          ]
          port {
            name           = "http"
            container_port = 9093
          }
          readiness_probe {
            http_get {
              port = "http"
              path = "/-/ready"
            }
            period_seconds  = 10
            timeout_seconds = 3
          }
          liveness_probe {
            http_get {
              port = "http"
              path = "/-/healthy"
            }
            failure_threshold     = 4
            initial_delay_seconds = 10
            period_seconds        = 15
            timeout_seconds       = 3
          }
          resources {
            limits   = { memory = "128Mi" }
            requests = { cpu = "10m", memory = "48Mi" }
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
            mount_path = "/alertmanager"
          }
          volume_mount {
            name       = "config"
            mount_path = "/etc/alertmanager"
            read_only  = true
          }
        }
        volume {
          name = "config"
          config_map {
            name = module.config["alertmanager-config"].name
          }
        }
      }
    }
    volume_claim_template {
      metadata {
        name   = "data"
        labels = merge(var.labels, local.alertmanager_selector)
      }
      spec {
        access_modes = ["ReadWriteOnce"]
        resources {
          requests = { storage = "1Gi" }
        }
        storage_class_name = var.storage_class
      }
    }
  }

  wait_for_rollout = var.wait

  depends_on = [module.manifests]
}
