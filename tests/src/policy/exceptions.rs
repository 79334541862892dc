//! Where a rule does not hold, and why.

/// SQL Server writes to `/tmp`, `/.system` and its own folders: its root file system cannot be
/// read-only.
pub(crate) const WRITABLE_ROOT: &[&str] = &["mssql"];

/// SQL Server's program carries this file capability; with none to gain it would not even start.
/// `restricted` admits it.
pub(crate) const ADDED_CAPABILITIES: &[(&str, &str)] = &[("mssql", "NET_BIND_SERVICE")];

/// Fluent Bit reads the node's log files, which belong to root, from the host.
pub(crate) const ROOT_AND_HOST_PATHS: &[&str] = &["fluent-bit"];

/// These ask the Kubernetes API: discovery, object states, pod names of log files.
pub(crate) const NEEDS_API: &[&str] = &["prometheus", "kube-state-metrics", "fluent-bit"];

/// SQL Server takes its administrator's password from the environment alone.
pub(crate) const SECRET_IN_ENVIRONMENT: &[(&str, &str)] =
    &[("mssql", "MSSQL_SA_PASSWORD"), ("mssql", "SQLCMDPASSWORD")];

/// Microsoft asks for the class Guaranteed for SQL Server: CPU limits equal to its requests.
pub(crate) const CPU_LIMIT: &[&str] = &["mssql"];

/// The one namespace that is not `restricted`: a host path is refused even by `baseline`.
pub(crate) const PRIVILEGED_NAMESPACES: &[&str] = &["logging"];

/// Secrets that are made apart from the overlays (`overlays/*/secrets`): namespace, name, keys.
pub(crate) const SECRETS: &[(&str, &str, &[&str])] = &[
    ("etl-poc", "etl-source", &["url"]),
    ("etl-poc", "etl-target", &["url"]),
    ("etl-poc", "etl-metrics", &["url"]),
    ("etl-poc", "mssql-sa", &["password"]),
    ("etl-poc", "mssql-admin", &["url"]),
    ("etl-poc", "mssql-tls", &["tls.crt", "tls.key"]),
    ("monitoring", "grafana-admin", &["password"]),
];

/// ConfigMaps that are made with them.
pub(crate) const CONFIG_MAPS: &[(&str, &str, &[&str])] = &[("etl-poc", "etl-trust", &["ca.crt"])];
