resource "kubernetes_network_policy_v1" "this" {
  for_each = lookup(local.objects, "NetworkPolicy", {})
  metadata {
    name      = each.value.name
    namespace = each.value.namespace
    labels    = each.value.labels
  }
  spec {
    policy_types = each.value.object.spec.policyTypes
    pod_selector {
      match_labels = try(each.value.object.spec.podSelector.matchLabels, null)
      dynamic "match_expressions" {
        for_each = try(each.value.object.spec.podSelector.matchExpressions, [])
        content {
          key      = match_expressions.value.key
          operator = match_expressions.value.operator
          values   = match_expressions.value.values
        }
      }
    }
    dynamic "ingress" {
      for_each = try(each.value.object.spec.ingress, [])
      content {
        dynamic "from" {
          for_each = try(ingress.value.from, [])
          content {
            dynamic "pod_selector" {
              for_each = can(from.value.podSelector) ? [from.value.podSelector] : []
              content {
                match_labels = try(pod_selector.value.matchLabels, null)
                dynamic "match_expressions" {
                  for_each = try(pod_selector.value.matchExpressions, [])
                  content {
                    key      = match_expressions.value.key
                    operator = match_expressions.value.operator
                    values   = match_expressions.value.values
                  }
                }
              }
            }
            dynamic "namespace_selector" {
              for_each = can(from.value.namespaceSelector) ? [from.value.namespaceSelector] : []
              content {
                match_labels = try(namespace_selector.value.matchLabels, null)
                dynamic "match_expressions" {
                  for_each = try(namespace_selector.value.matchExpressions, [])
                  content {
                    key      = match_expressions.value.key
                    operator = match_expressions.value.operator
                    values   = match_expressions.value.values
                  }
                }
              }
            }
            dynamic "ip_block" {
              for_each = can(from.value.ipBlock) ? [from.value.ipBlock] : []
              content {
                cidr = ip_block.value.cidr
              }
            }
          }
        }
        dynamic "ports" {
          for_each = try(ingress.value.ports, [])
          content {
            protocol = ports.value.protocol
            port     = ports.value.port
          }
        }
      }
    }
    dynamic "egress" {
      for_each = try(each.value.object.spec.egress, [])
      content {
        dynamic "to" {
          for_each = try(egress.value.to, [])
          content {
            dynamic "pod_selector" {
              for_each = can(to.value.podSelector) ? [to.value.podSelector] : []
              content {
                match_labels = try(pod_selector.value.matchLabels, null)
                dynamic "match_expressions" {
                  for_each = try(pod_selector.value.matchExpressions, [])
                  content {
                    key      = match_expressions.value.key
                    operator = match_expressions.value.operator
                    values   = match_expressions.value.values
                  }
                }
              }
            }
            dynamic "namespace_selector" {
              for_each = can(to.value.namespaceSelector) ? [to.value.namespaceSelector] : []
              content {
                match_labels = try(namespace_selector.value.matchLabels, null)
                dynamic "match_expressions" {
                  for_each = try(namespace_selector.value.matchExpressions, [])
                  content {
                    key      = match_expressions.value.key
                    operator = match_expressions.value.operator
                    values   = match_expressions.value.values
                  }
                }
              }
            }
            dynamic "ip_block" {
              for_each = can(to.value.ipBlock) ? [to.value.ipBlock] : []
              content {
                cidr = ip_block.value.cidr
              }
            }
          }
        }
        dynamic "ports" {
          for_each = try(egress.value.ports, [])
          content {
            protocol = ports.value.protocol
            port     = ports.value.port
          }
        }
      }
    }
  }
  # RFC 5737: nobody's address, so a placeholder was left.
  lifecycle {
    precondition {
      condition     = !can(regex("192\\.0\\.2\\.|198\\.51\\.100\\.|203\\.0\\.113\\.", jsonencode(each.value.object)))
      error_message = "NetworkPolicy ${each.key} allows an address for documentation: set postgres_cidr."
    }
  }
}
