//! Logs to stderr; metrics to a page, to OTLP and to a Pushgateway.

mod filter;
mod logs;
mod push;
mod server;

use std::sync::Arc;
use std::time::Duration;

use etl_core::metrics::{LedgerMetrics, Metrics};
use etl_core::{Error, Result};
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_otlp::{MetricExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};

pub use logs::{Style, init as init_logs, panics_to_json};
pub use server::{Answering, Health, MetricsServer};

/// No push may hold a run up for longer.
const PUSH_LIMIT: Duration = Duration::from_secs(5);

/// The process's instruments and where they are seen; clones share them.
#[derive(Clone)]
pub struct Telemetry {
    registry: Registry,
    provider: SdkMeterProvider,
    meter: Meter,
    pushes_otlp: bool,
}

impl Telemetry {
    /// Sets metrics up. OTLP is on when `OTEL_EXPORTER_OTLP_ENDPOINT` or
    /// `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` is set; a wrong one is warned about.
    ///
    /// # Errors
    /// `Internal` if the exporter cannot be built.
    pub fn start() -> Result<Self> {
        let registry = Registry::new();
        let page = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_target_info()
            .scope_info_enabled(false)
            .build()
            .map_err(|error| Error::internal("setting metrics up").with_source(error))?;
        let mut provider = SdkMeterProvider::builder()
            .with_resource(Resource::builder().with_service_name(service_name()).build())
            .with_reader(page);
        let otlp = otlp_exporter();
        let pushes_otlp = otlp.is_some();
        if let Some(exporter) = otlp {
            provider = provider.with_periodic_exporter(exporter);
        }
        let provider = provider.build();
        let meter = provider.meter("etl");
        Ok(Self { registry, provider, meter, pushes_otlp })
    }

    /// The instruments of one pipeline's stream.
    #[must_use]
    pub fn metrics(&self, pipeline: &str, stream: &str) -> Metrics {
        Metrics::new(&self.meter, pipeline, stream)
    }

    /// The series of one stream's ledger; once for each stream.
    #[must_use]
    pub fn ledger(&self, pipeline: &str, stream: &str) -> LedgerMetrics {
        LedgerMetrics::new(&self.meter, pipeline, stream)
    }

    /// All metrics in Prometheus' text format.
    ///
    /// # Errors
    /// `Internal` if they have no such form.
    pub fn page(&self) -> Result<String> {
        page(&self.registry)
    }

    /// Serves `/metrics`, `/healthz` and `/readyz` on `address` until the server is dropped.
    ///
    /// # Errors
    /// `Config` if the address cannot be listened on.
    pub async fn serve(&self, address: &str, health: Arc<dyn Health>) -> Result<MetricsServer> {
        MetricsServer::start(address, self.registry.clone(), health).await
    }

    /// Pushes what a run has measured to where the environment and `pushgateway` say. A push that
    /// fails, or takes longer than five seconds, is warned about and changes nothing else.
    pub async fn push(&self, pushgateway: Option<&str>, pipeline: &str) {
        if self.pushes_otlp {
            self.push_otlp().await;
        }
        let Some(gateway) = pushgateway else { return };
        let pushed = match self.page() {
            Ok(page) => push::to_gateway(gateway, pipeline, page, PUSH_LIMIT).await,
            Err(error) => Err(error),
        };
        match pushed {
            Ok(()) => tracing::debug!("metrics were pushed to the Pushgateway"),
            Err(error) => tracing::warn!(
                "metrics were not pushed to the Pushgateway, the run is not affected: {error:?}"
            ),
        }
    }

    async fn push_otlp(&self) {
        let provider = self.provider.clone();
        let flush = tokio::task::spawn_blocking(move || provider.force_flush());
        let problem = match tokio::time::timeout(PUSH_LIMIT, flush).await {
            Ok(Ok(Ok(()))) => return tracing::debug!("metrics were pushed by OTLP"),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", PUSH_LIMIT.as_secs()),
        };
        tracing::warn!("metrics were not pushed by OTLP, the run is not affected: {problem}");
    }
}

/// The name under which OTLP metrics arrive, unless `OTEL_SERVICE_NAME` says another.
fn service_name() -> String {
    std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| "etl-job".to_owned())
}

fn page(registry: &Registry) -> Result<String> {
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .map_err(|error| Error::internal("writing metrics as text").with_source(error))
}

fn otlp_exporter() -> Option<MetricExporter> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = set("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
        .or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"))?;
    if !endpoint.starts_with("http://") {
        tracing::warn!(
            "metrics are not pushed by OTLP: the endpoint must begin with http://; let a collector \
             nearby speak TLS"
        );
        return None;
    }
    let built = MetricExporter::builder().with_http().with_timeout(PUSH_LIMIT).build();
    built.inspect_err(|error| tracing::warn!("metrics are not pushed by OTLP: {error}")).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use arrow::array::RecordBatch;
    use arrow::datatypes::Schema;
    use etl_core::metrics::INSTRUMENTS;
    use etl_core::{
        Batch, Changes, Class, Counts, Ledger, Outcome, Position, RowCounts, RunCounts, RunReport,
    };

    use super::*;

    /// Every instrument once.
    fn record(metrics: &Metrics) {
        let records = RecordBatch::new_empty(std::sync::Arc::new(Schema::empty()));
        let progress =
            etl_core::Progress { read: 3, reread: 1, horizon_micros: Some(1_700_000_000_000_000) };
        let position = Position::from_text("{}").unwrap();
        let batch = Batch::new(Changes::upserts(records), position, progress);
        metrics.committed(&batch, &Counts::default(), Duration::from_millis(3));
        metrics.retried(Class::Transient);
        let mut report = RunReport::new("orders/public.orders", uuid::Uuid::new_v4());
        report.outcome = Outcome::Success;
        report.duration = Duration::from_secs(2);
        report.horizon_micros = progress.horizon_micros;
        metrics.finished(&report);
        metrics.tls_unverified("target", true);
    }

    /// With a value for every series.
    fn ledger() -> Ledger {
        Ledger {
            now_micros: 2_000_000_000,
            last_success_micros: Some(1_900_000_000),
            source_horizon_micros: Some(1_850_000_000),
            last_run_micros: Some(1_880_000_000),
            last_run_duration: Some(Duration::from_millis(1_500)),
            checkpoint_micros: 1_990_000_000,
            lease_held: true,
            runs: RunCounts { success: 7, ..RunCounts::default() },
            rows: RowCounts { written: 42, ..RowCounts::default() },
            quarantined: 3,
            failures_since_success: 2,
        }
    }

    /// The values of a stream's series, by name and the label that is its own.
    fn values(page: &str, stream: &str) -> BTreeMap<String, f64> {
        let of = format!("stream=\"{stream}\"");
        page.lines()
            .filter(|line| line.starts_with("etl_ledger_") && line.contains(&of))
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap();
                let own = labels.trim_end_matches('}').split(',');
                let own = own.filter(|label| !label.starts_with("pipeline=") && *label != of);
                (format!("{name} {}", own.collect::<String>()), value.parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn a_ledger_that_cannot_be_read_shows_no_figure_but_that() {
        let telemetry = Telemetry::start().unwrap();
        let (orders, other) = (telemetry.ledger("shop", "orders"), telemetry.ledger("shop", "b"));
        let down = BTreeMap::from([("etl_ledger_up ".to_owned(), 0.0)]);
        let shown = || values(&telemetry.page().unwrap(), "orders");
        assert_eq!(shown(), down, "before the first reading");
        orders.read(ledger());
        other.read(Ledger::default());
        let up = shown();
        assert_eq!(up.len(), 23, "{up:?}");
        let near = |name: &str, value: f64| (up[name] - value).abs() < 5.0;
        assert!(near("etl_ledger_freshness_seconds ", 150.0), "{up:?}");
        assert!(near("etl_ledger_checkpoint_age_seconds ", 10.0), "{up:?}");
        for (name, value) in [
            ("etl_ledger_up ", 1.0),
            ("etl_ledger_last_success_time_seconds ", 1900.0),
            ("etl_ledger_last_run_time_seconds ", 1880.0),
            ("etl_ledger_last_run_duration_seconds ", 1.5),
            ("etl_ledger_source_horizon_time_seconds ", 1850.0),
            ("etl_ledger_runs_total outcome=\"success\"", 7.0),
            ("etl_ledger_runs_total outcome=\"abandoned\"", 0.0),
            ("etl_ledger_rows_total kind=\"written\"", 42.0),
            ("etl_ledger_quarantined_rows ", 3.0),
            ("etl_ledger_failures_since_success ", 2.0),
            ("etl_ledger_lease_held ", 1.0),
        ] {
            assert_eq!(up.get(name), Some(&value), "{name}: {up:?}");
        }
        orders.unreadable();
        assert_eq!(shown(), down, "after a reading that failed");
        let never = values(&telemetry.page().unwrap(), "b");
        assert_eq!(never["etl_ledger_up "], 1.0, "the other stream");
        assert_eq!(never.get("etl_ledger_last_success_time_seconds "), None, "{never:?}");
        assert_eq!(never.get("etl_ledger_freshness_seconds "), None, "{never:?}");
        orders.read(ledger());
        assert_eq!(shown().len(), 23, "they return");
    }

    #[tokio::test]
    async fn the_page_shows_what_the_table_says() {
        let telemetry = Telemetry::start().unwrap();
        record(&telemetry.metrics("shop", "orders"));
        telemetry.ledger("shop", "orders").read(ledger());
        let page = telemetry.page().unwrap();
        let shown: BTreeSet<(String, String)> = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split_once(' '))
            .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
            .collect();
        let table: BTreeSet<_> = INSTRUMENTS
            .iter()
            .map(|one| (one.prometheus.to_owned(), one.kind.to_owned()))
            .collect();
        assert_eq!(shown, table);
        for instrument in INSTRUMENTS {
            let line = page.lines().find(|line| line.starts_with(instrument.prometheus)).unwrap();
            for label in instrument.labels.iter().chain(&["pipeline", "stream"]) {
                assert!(line.contains(&format!("{label}=")), "{label} is not in {line}");
            }
        }
    }
}
