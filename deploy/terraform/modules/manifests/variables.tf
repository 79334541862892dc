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
  description = "What replaces 192.0.2.10/32, the address kept for documentation, in network policies."
  type        = string
  default     = "192.0.2.10/32"
}

variable "apiserver_port" {
  description = "The API server's own port, as a network policy sees it: K3s 6443, EKS 443, minikube 8443."
  type        = number
  default     = 6443
}
