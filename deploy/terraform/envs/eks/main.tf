locals {
  deploy = "${path.module}/../../.."
  labels = {
    "app.kubernetes.io/instance"   = "etl"
    "app.kubernetes.io/part-of"    = "etl"
    "app.kubernetes.io/managed-by" = "terraform"
  }

  # Versions stand in one place for kustomize and for Terraform.
  images = {
    for image in yamldecode(file("${local.deploy}/components/images/kustomization.yaml")).images :
    image.name => join("@", compact([
      "${contains(["etl-job", "mssql-init"], image.name) ? "${var.registry}/" : ""}${image.name}:${image.newTag}",
      try(image.digest, null),
    ]))
  }
}

provider "kubernetes" {
  config_path    = pathexpand(var.kubeconfig)
  config_context = var.context
}

module "namespaces" {
  source   = "../../modules/namespace"
  for_each = toset(["etl-poc", "logging", "monitoring"])

  directory = "${local.deploy}/base/namespaces/${each.key}"
  labels    = local.labels
  # As deploy/overlays/eks: SQL Server has more there.
  quota = each.key != "etl-poc" ? {} : {
    "requests.memory"  = "20Gi"
    "limits.memory"    = "20Gi"
    "requests.storage" = "500Gi"
  }
}

module "mssql" {
  source        = "../../modules/mssql"
  deploy        = local.deploy
  namespace     = module.namespaces["etl-poc"].name
  labels        = local.labels
  images        = local.images
  wait          = var.wait
  storage_class = kubernetes_storage_class_v1.this["storageclass-retain"].metadata[0].name
  storage       = "100Gi"
  edition       = var.edition

  # Requests equal to limits (QoS Guaranteed), as Microsoft recommends.
  memory_limit_mb = "6553"
  requests        = { cpu = "2", "ephemeral-storage" = "256Mi", memory = "8Gi" }
  limits          = { cpu = "2", "ephemeral-storage" = "1Gi", memory = "8Gi" }
}

module "etl" {
  source    = "../../modules/etl"
  deploy    = local.deploy
  namespace = module.namespaces["etl-poc"].name
  labels    = local.labels
  images    = local.images
  wait      = var.wait
  postgres  = var.postgres

  # mssql-init waits for the server, the first run for mssql-init.
  depends_on = [module.mssql]
}

module "monitoring" {
  source        = "../../modules/monitoring"
  deploy        = local.deploy
  namespace     = module.namespaces["monitoring"].name
  labels        = local.labels
  images        = local.images
  wait          = var.wait
  storage_class = kubernetes_storage_class_v1.this["storageclass"].metadata[0].name

  # Roles for service discovery lie in all three namespaces.
  depends_on = [module.namespaces]
}

module "logging" {
  source        = "../../modules/logging"
  deploy        = local.deploy
  namespace     = module.namespaces["logging"].name
  labels        = local.labels
  images        = local.images
  wait          = var.wait
  storage_class = kubernetes_storage_class_v1.this["storageclass"].metadata[0].name

  depends_on = [module.namespaces]
}
