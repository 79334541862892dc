//! A push to a Prometheus Pushgateway: one POST, which replaces the metrics that it names in the
//! pipeline's group. A PUT would replace the group: a failed run, which knows no time of its last
//! success, would erase that of the run before it.

use std::time::Duration;

use etl_core::{Error, Result};

/// The label that tells this program's groups from others'.
const JOB: &str = "etl";

/// Puts `page` into the group `job="etl", pipeline="…"`.
///
/// # Errors
/// `Config` if the address is not one; `Transient` if the gateway does not take it in time.
pub(super) async fn to_gateway(
    gateway: &str,
    pipeline: &str,
    page: String,
    limit: Duration,
) -> Result<()> {
    let base = url::Url::parse(gateway).ok().filter(|url| url.scheme() == "http");
    let base = base.ok_or_else(|| {
        Error::config("the Pushgateway's address must be like http://pushgateway:9091")
    })?;
    // Names hold only a-z 0-9 _ . -, so the path needs no encoding.
    let path =
        format!("{}/metrics/job/{JOB}/pipeline/{pipeline}", base.path().trim_end_matches('/'));
    let mut url = base;
    url.set_path(&path);
    let failed = |error: reqwest::Error| {
        // The address may hold a password.
        Error::transient("sending metrics to the Pushgateway").with_source(error.without_url())
    };
    let client = reqwest::Client::builder().timeout(limit).build().map_err(failed)?;
    let request = client.post(url).header("content-type", prometheus::TEXT_FORMAT).body(page);
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(Error::transient("the Pushgateway refused the metrics")
            .with_code(status.as_u16().to_string()));
    }
    Ok(())
}
