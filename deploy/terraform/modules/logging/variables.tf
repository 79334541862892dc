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
