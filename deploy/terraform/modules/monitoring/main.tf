# Prometheus with rules, Alertmanager, kube-state-metrics, Grafana with dashboards.
locals {
  parts = {
    prometheus         = local.prometheus_labels
    alertmanager       = local.alertmanager_labels
    kube-state-metrics = local.kube_state_metrics_labels
    grafana            = local.grafana_labels
    network = merge(var.labels, {
      "app.kubernetes.io/name"      = "network"
      "app.kubernetes.io/component" = "network"
      "app.kubernetes.io/version"   = "0.1.0"
    })
  }
  # ConfigMap => its owner, and its files below deploy/monitoring.
  configs = {
    prometheus-config           = { part = "prometheus", files = ["prometheus/prometheus.yml"] }
    prometheus-rules            = { part = "prometheus", files = ["rules/etl.rules.yml", "rules/platform.rules.yml"] }
    alertmanager-config         = { part = "alertmanager", files = ["alertmanager/alertmanager.yml"] }
    grafana-config              = { part = "grafana", files = ["grafana/grafana.ini"] }
    grafana-datasources         = { part = "grafana", files = ["grafana/provisioning/datasources/datasources.yaml"] }
    grafana-dashboard-providers = { part = "grafana", files = ["grafana/provisioning/dashboards/providers.yaml"] }
    grafana-dashboards-etl      = { part = "grafana", files = ["grafana/dashboards/etl/pipeline.json", "grafana/dashboards/etl/run-log.json"] }
    grafana-dashboards-platform = { part = "grafana", files = ["grafana/dashboards/platform/cluster.json", "grafana/dashboards/platform/mssql.json"] }
  }
}

module "manifests" {
  source   = "../manifests"
  for_each = toset(["alertmanager", "grafana", "kube-state-metrics", "network", "prometheus"])

  directory = "${var.deploy}/monitoring/${each.key}"
  namespace = var.namespace
  labels    = local.parts[each.key]
}

module "config" {
  source   = "../config"
  for_each = local.configs

  name      = each.key
  namespace = var.namespace
  labels    = local.parts[each.value.part]
  data      = { for path in each.value.files : basename(path) => file("${var.deploy}/monitoring/${path}") }
}
