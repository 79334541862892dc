locals {
  prometheus_selector = {
    "app.kubernetes.io/name"      = "prometheus"
    "app.kubernetes.io/component" = "monitoring"
  }
  prometheus_labels = merge(var.labels, local.prometheus_selector, { "app.kubernetes.io/version" = "v3.5.0" })
}

# deploy/monitoring/prometheus/statefulset.yaml is the reference, with the reasons.
resource "kubernetes_stateful_set_v1" "prometheus" {
  metadata {
    name      = "prometheus"
    namespace = var.namespace
    labels    = local.prometheus_labels
  }
  spec {
    service_name = "prometheus"
    replicas     = 1
    selector {
      match_labels = local.prometheus_selector
    }
    template {
      metadata {
        labels = local.prometheus_labels
      }
      spec {
        service_account_name             = "prometheus"
        automount_service_account_token  = true
        enable_service_links             = false
        termination_grace_period_seconds = 120
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
          name  = "prometheus"
          image = var.images["docker.io/prom/prometheus"]
          args = [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            "--storage.tsdb.retention.time=15d",
            "--storage.tsdb.retention.size=8GB",
            "--log.format=json",
          ]
          port {
            name           = "http"
            container_port = 9090
          }
          startup_probe {
            http_get {
              port = "http"
              path = "/-/ready"
            }
            failure_threshold = 60
            period_seconds    = 5
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
            failure_threshold = 4
            period_seconds    = 15
            timeout_seconds   = 5
          }
          resources {
            limits   = { memory = "1Gi" }
            requests = { cpu = "100m", memory = "400Mi" }
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
            mount_path = "/prometheus"
          }
          volume_mount {
            name       = "config"
            mount_path = "/etc/prometheus"
            read_only  = true
          }
          volume_mount {
            name       = "rules"
            mount_path = "/etc/prometheus-rules"
            read_only  = true
          }
        }
        volume {
          name = "config"
          config_map {
            name = module.config["prometheus-config"].name
          }
        }
        volume {
          name = "rules"
          config_map {
            name = module.config["prometheus-rules"].name
          }
        }
      }
    }
    volume_claim_template {
      metadata {
        name   = "data"
        labels = merge(var.labels, local.prometheus_selector)
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
