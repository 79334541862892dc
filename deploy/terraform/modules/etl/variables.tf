variable "deploy" {
  description = "The path of deploy/, whose settings, manifests, rules and dashboards are read."
  type        = string
}

variable "namespace" {
  type = string
}

variable "labels" {
  description = "What every object carries: instance, part-of, managed-by."
  type        = map(string)
}

variable "images" {
  description = "Each image with its version, by the name that the manifests have."
  type        = map(string)
}

variable "wait" {
  description = "Whether apply waits until everything is ready."
  type        = bool
  default     = true
}

variable "schedule" {
  description = "When a run starts. The deadlines are made for five minutes; with a longer period raise them."
  type        = string
  default     = "*/5 * * * *"
}

variable "postgres" {
  description = "Where Service postgres leads: an address (K3s) or a DNS name (RDS), and the CIDR that network policies allow."
  type = object({
    address = optional(string)
    name    = optional(string)
    cidr    = string
  })
  validation {
    condition     = (var.postgres.address == null) != (var.postgres.name == null)
    error_message = "Give either postgres.address or postgres.name."
  }
  validation {
    condition = !can(regex("^(127\\.|192\\.0\\.2\\.|198\\.51\\.100\\.|203\\.0\\.113\\.|169\\.254\\.|0\\.)|^::1|example|CHANGE_ME",
    coalesce(var.postgres.address, var.postgres.name, "CHANGE_ME"))) && !can(regex("^(192\\.0\\.2\\.|198\\.51\\.100\\.|203\\.0\\.113\\.)", var.postgres.cidr))
    error_message = "postgres names a loopback address or one kept for documentation: give that of your Postgres server."
  }
}
