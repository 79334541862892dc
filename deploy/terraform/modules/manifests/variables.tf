variable "directory" {
  description = "A directory of manifests; kinds that this module knows are taken, workloads and kustomizations are not."
  type        = string
}

variable "namespace" {
  description = "For manifests that name none."
  type        = string
}

variable "labels" {
  description = "Added to those of the manifests."
  type        = map(string)
}

variable "postgres_cidr" {
  description = "What replaces the address kept for documentation (192.0.2.x/32) in network policies."
  type        = string
  default     = "192.0.2.1/32"
}
