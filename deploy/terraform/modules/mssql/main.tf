# SQL Server: one pod with a volume of its own.
module "manifests" {
  source    = "../manifests"
  directory = "${var.deploy}/base/mssql"
  namespace = var.namespace
  labels    = merge(var.labels, { "app.kubernetes.io/version" = local.mssql_labels["app.kubernetes.io/version"] })
}

module "mssql_conf" {
  source    = "../config"
  name      = "mssql-conf"
  namespace = var.namespace
  labels    = local.mssql_labels
  data      = { "mssql.conf" = file("${var.deploy}/base/mssql/mssql.conf") }
}
