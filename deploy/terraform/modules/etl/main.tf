# The pipeline: its settings, its run every five minutes, the preparation of SQL Server, the ledger's metrics.
module "manifests" {
  source   = "../manifests"
  for_each = toset(["etl", "metrics", "mssql-init", "network"])

  directory     = "${var.deploy}/base/${each.key}"
  namespace     = var.namespace
  labels        = merge(var.labels, { "app.kubernetes.io/version" = "0.1.0" })
  postgres_cidr = var.postgres.cidr
}

module "etl_pipeline" {
  source    = "../config"
  name      = "etl-pipeline"
  namespace = var.namespace
  labels    = local.etl_orders_labels
  data      = { "orders.yaml" = file("${var.deploy}/base/etl/orders.yaml") }
}
