locals {
  kube_state_metrics_selector = {
    "app.kubernetes.io/name"      = "kube-state-metrics"
    "app.kubernetes.io/component" = "monitoring"
  }
  kube_state_metrics_labels = merge(var.labels, local.kube_state_metrics_selector, { "app.kubernetes.io/version" = "v2.17.0" })
}

# deploy/monitoring/kube-state-metrics/deployment.yaml is the reference, with the reasons.
resource "kubernetes_deployment_v1" "kube_state_metrics" {
  metadata {
    name      = "kube-state-metrics"
    namespace = var.namespace
    labels    = local.kube_state_metrics_labels
  }
  spec {
    replicas = 1
    selector {
      match_labels = local.kube_state_metrics_selector
    }
    strategy {
      type = "Recreate"
    }
    template {
      metadata {
        labels = local.kube_state_metrics_labels
      }
      spec {
        service_account_name             = "kube-state-metrics"
        automount_service_account_token  = true
        enable_service_links             = false
        termination_grace_period_seconds = 30
        security_context {
          run_as_group    = 65534
          run_as_non_root = true
          run_as_user     = 65534
          seccomp_profile {
            type = "RuntimeDefault"
          }
        }
        container {
          name  = "kube-state-metrics"
          image = var.images["registry.k8s.io/kube-state-metrics/kube-state-metrics"]
          args = [
            "--port=8080",
            "--telemetry-port=8081",
            "--resources=cronjobs,daemonsets,deployments,jobs,namespaces,nodes,persistentvolumeclaims,pods,statefulsets",
          ]
          port {
            name           = "http-metrics"
            container_port = 8080
          }
          port {
            name           = "telemetry"
            container_port = 8081
          }
          readiness_probe {
            http_get {
              port = "telemetry"
              path = "/readyz"
            }
            period_seconds  = 10
            timeout_seconds = 5
          }
          liveness_probe {
            http_get {
              port = "http-metrics"
              path = "/livez"
            }
            failure_threshold     = 4
            initial_delay_seconds = 10
            period_seconds        = 15
            timeout_seconds       = 5
          }
          resources {
            limits   = { memory = "256Mi" }
            requests = { cpu = "20m", memory = "64Mi" }
          }
          security_context {
            allow_privilege_escalation = false
            capabilities {
              drop = ["ALL"]
            }
            read_only_root_filesystem = true
          }
        }
      }
    }
  }

  wait_for_rollout = var.wait

  depends_on = [module.manifests]
}
