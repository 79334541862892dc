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

variable "storage_class" {
  type    = string
  default = "local-path"
}

variable "storage" {
  description = "The volume's size. A claim template cannot be changed: later, resize the claim itself."
  type        = string
  default     = "20Gi"
}

variable "edition" {
  description = "Developer is not licensed for production."
  type        = string
  default     = "Developer"
}

variable "memory_limit_mb" {
  description = "What SQL Server may use: about 80 % of the container's limit."
  type        = string
  default     = "2457"
}

variable "requests" {
  type    = map(string)
  default = { cpu = "500m", "ephemeral-storage" = "256Mi", memory = "3Gi" }
}

variable "limits" {
  type    = map(string)
  default = { "ephemeral-storage" = "1Gi", memory = "3Gi" }
}
