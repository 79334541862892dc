variable "kubeconfig" {
  description = "The path of the kubeconfig."
  type        = string
  default     = "~/.kube/config"
}

variable "context" {
  description = "Which cluster. No default: nobody should change a cluster by mistake."
  type        = string
}

variable "wait" {
  description = "Whether apply waits until everything is ready. The Secrets must be there then."
  type        = bool
  default     = true
}

variable "postgres_address" {
  description = "The source Postgres, as the node reaches it. Not 127.0.0.1: that would be the pod itself."
  type        = string
}
