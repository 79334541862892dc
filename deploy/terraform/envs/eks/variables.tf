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

variable "postgres" {
  description = "The RDS endpoint, and the CIDR of its subnets."
  type = object({
    name = string
    cidr = string
  })
}

variable "registry" {
  description = "Where etl-job and mssql-init are, such as 111122223333.dkr.ecr.eu-central-1.amazonaws.com."
  type        = string
}

variable "edition" {
  description = "The edition of SQL Server that you have a licence for; Developer is not licensed for production."
  type        = string
}
