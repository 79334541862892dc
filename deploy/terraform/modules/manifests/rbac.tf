resource "kubernetes_role_v1" "this" {
  for_each = lookup(local.objects, "Role", {})
  metadata {
    name      = each.value.name
    namespace = each.value.namespace
    labels    = each.value.labels
  }
  dynamic "rule" {
    for_each = each.value.object.rules
    content {
      api_groups = rule.value.apiGroups
      resources  = rule.value.resources
      verbs      = rule.value.verbs
    }
  }
}

resource "kubernetes_cluster_role_v1" "this" {
  for_each = lookup(local.objects, "ClusterRole", {})
  metadata {
    name   = each.value.name
    labels = each.value.labels
  }
  dynamic "rule" {
    for_each = each.value.object.rules
    content {
      api_groups = rule.value.apiGroups
      resources  = rule.value.resources
      verbs      = rule.value.verbs
    }
  }
}

resource "kubernetes_role_binding_v1" "this" {
  for_each = lookup(local.objects, "RoleBinding", {})
  metadata {
    name      = each.value.name
    namespace = each.value.namespace
    labels    = each.value.labels
  }
  role_ref {
    api_group = each.value.object.roleRef.apiGroup
    kind      = each.value.object.roleRef.kind
    name      = each.value.object.roleRef.name
  }
  dynamic "subject" {
    for_each = each.value.object.subjects
    content {
      kind      = subject.value.kind
      name      = subject.value.name
      namespace = subject.value.namespace
    }
  }
}

resource "kubernetes_cluster_role_binding_v1" "this" {
  for_each = lookup(local.objects, "ClusterRoleBinding", {})
  metadata {
    name   = each.value.name
    labels = each.value.labels
  }
  role_ref {
    api_group = each.value.object.roleRef.apiGroup
    kind      = each.value.object.roleRef.kind
    name      = each.value.object.roleRef.name
  }
  dynamic "subject" {
    for_each = each.value.object.subjects
    content {
      kind      = subject.value.kind
      name      = subject.value.name
      namespace = subject.value.namespace
    }
  }
}
