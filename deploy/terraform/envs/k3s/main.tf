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
    image.name => join("@", compact(["${image.name}:${image.newTag}", try(image.digest, null)]))
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
}

module "mssql" {
  source        = "../../modules/mssql"
  deploy        = local.deploy
  namespace     = module.namespaces["etl-poc"].name
  labels        = local.labels
  images        = local.images
  wait          = var.wait
  storage_class = "local-path"
}

module "etl" {
  source    = "../../modules/etl"
  deploy    = local.deploy
  namespace = module.namespaces["etl-poc"].name
  labels    = local.labels
  images    = local.images
  wait      = var.wait
  postgres  = { address = var.postgres_address, cidr = "${var.postgres_address}/32" }

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
  storage_class = "local-path"

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
  storage_class = "local-path"

  depends_on = [module.namespaces]
}
