# The two classes of the eks overlay; the one of the database keeps its volume when the claim is deleted.
locals {
  storage_classes = {
    for file in ["storageclass", "storageclass-retain"] :
    file => yamldecode(file("${local.deploy}/overlays/eks/${file}.yaml"))
  }
}

resource "kubernetes_storage_class_v1" "this" {
  for_each = local.storage_classes
  metadata {
    name   = each.value.metadata.name
    labels = merge(each.value.metadata.labels, local.labels)
  }
  storage_provisioner    = each.value.provisioner
  parameters             = each.value.parameters
  reclaim_policy         = each.value.reclaimPolicy
  allow_volume_expansion = each.value.allowVolumeExpansion
  volume_binding_mode    = each.value.volumeBindingMode
}
