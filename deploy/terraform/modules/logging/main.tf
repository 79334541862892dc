# Fluent Bit on every node, and Loki.
locals {
  parts = {
    loki       = local.loki_labels
    fluent-bit = local.fluent_bit_labels
    network = merge(var.labels, {
      "app.kubernetes.io/name"      = "network"
      "app.kubernetes.io/component" = "network"
      "app.kubernetes.io/version"   = "0.1.0"
    })
  }
  # ConfigMap => its owner, and its files below deploy/logging.
  configs = {
    loki-config       = { part = "loki", files = ["loki/loki.yaml"] }
    fluent-bit-config = { part = "fluent-bit", files = ["fluent-bit/fluent-bit.yaml", "fluent-bit/shape.lua"] }
  }
}

module "manifests" {
  source   = "../manifests"
  for_each = toset(["fluent-bit", "loki", "network"])

  directory = "${var.deploy}/logging/${each.key}"
  namespace = var.namespace
  labels    = local.parts[each.key]
}

module "config" {
  source   = "../config"
  for_each = local.configs

  name      = each.key
  namespace = var.namespace
  labels    = local.parts[each.value.part]
  data      = { for path in each.value.files : basename(path) => file("${var.deploy}/logging/${path}") }
}
