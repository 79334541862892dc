locals {
  grafana_selector = {
    "app.kubernetes.io/name"      = "grafana"
    "app.kubernetes.io/component" = "monitoring"
  }
  grafana_labels = merge(var.labels, local.grafana_selector, { "app.kubernetes.io/version" = "12.1.1" })
}

# deploy/monitoring/grafana/deployment.yaml is the reference, with the reasons.
resource "kubernetes_deployment_v1" "grafana" {
  metadata {
    name      = "grafana"
    namespace = var.namespace
    labels    = local.grafana_labels
  }
  spec {
    replicas = 1
    selector {
      match_labels = local.grafana_selector
    }
    template {
      metadata {
        labels = local.grafana_labels
      }
      spec {
        service_account_name             = "grafana"
        automount_service_account_token  = false
        enable_service_links             = false
        termination_grace_period_seconds = 30
        security_context {
          fs_group        = 472
          run_as_group    = 472
          run_as_non_root = true
          run_as_user     = 472
          seccomp_profile {
            type = "RuntimeDefault"
          }
        }
        container {
          name  = "grafana"
          image = var.images["docker.io/grafana/grafana"]
          env {
            name  = "GF_SECURITY_ADMIN_PASSWORD__FILE"
            value = "/run/secrets/etl/grafana-admin/password"
          }
          env {
            name  = "PROMETHEUS_URL"
            value = "http://prometheus.monitoring.svc:9090"
          }
          env {
            name  = "LOKI_URL"
            value = "http://loki.logging.svc:3100"
          }
          env {
            name  = "ALERTMANAGER_URL"
            value = "http://alertmanager.monitoring.svc:9093"
          }
          port {
            name           = "http"
            container_port = 3000
          }
          startup_probe {
            http_get {
              port = "http"
              path = "/api/health"
            }
            failure_threshold = 36
            period_seconds    = 5
          }
          readiness_probe {
            http_get {
              port = "http"
              path = "/api/health"
            }
            period_seconds  = 10
            timeout_seconds = 3
          }
          liveness_probe {
            http_get {
              port = "http"
              path = "/api/health"
            }
            failure_threshold = 4
            period_seconds    = 15
            timeout_seconds   = 5
          }
          resources {
            limits   = { memory = "512Mi" }
            requests = { cpu = "50m", memory = "160Mi" }
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
            mount_path = "/var/lib/grafana"
          }
          volume_mount {
            name       = "tmp"
            mount_path = "/tmp"
          }
          volume_mount {
            name       = "admin"
            mount_path = "/run/secrets/etl/grafana-admin"
            read_only  = true
          }
          volume_mount {
            name       = "config"
            mount_path = "/etc/grafana/grafana.ini"
            read_only  = true
            sub_path   = "grafana.ini"
          }
          volume_mount {
            name       = "datasources"
            mount_path = "/etc/grafana/provisioning/datasources"
            read_only  = true
          }
          volume_mount {
            name       = "providers"
            mount_path = "/etc/grafana/provisioning/dashboards"
            read_only  = true
          }
          volume_mount {
            name       = "dashboards-etl"
            mount_path = "/etc/grafana/dashboards/etl"
            read_only  = true
          }
          volume_mount {
            name       = "dashboards-platform"
            mount_path = "/etc/grafana/dashboards/platform"
            read_only  = true
          }
        }
        volume {
          name = "data"
          empty_dir {
            size_limit = "512Mi"
          }
        }
        volume {
          name = "tmp"
          empty_dir {
            size_limit = "64Mi"
          }
        }
        volume {
          name = "admin"
          secret {
            default_mode = "0440"
            secret_name  = "grafana-admin"
          }
        }
        volume {
          name = "config"
          config_map {
            name = module.config["grafana-config"].name
          }
        }
        volume {
          name = "datasources"
          config_map {
            name = module.config["grafana-datasources"].name
          }
        }
        volume {
          name = "providers"
          config_map {
            name = module.config["grafana-dashboard-providers"].name
          }
        }
        volume {
          name = "dashboards-etl"
          config_map {
            name = module.config["grafana-dashboards-etl"].name
          }
        }
        volume {
          name = "dashboards-platform"
          config_map {
            name = module.config["grafana-dashboards-platform"].name
          }
        }
      }
    }
  }

  wait_for_rollout = var.wait

  depends_on = [module.manifests]
}
