//! `etl-job serve --metrics-only`: what the ledgers in the target say, also while no run ever starts.

mod watch;

use std::sync::Arc;

use etl_core::{Error, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::cli::Serve;
use crate::config::{PipelineFile, Secrets};
use crate::exit;
use crate::telemetry::Telemetry;
use watch::{Pulses, Watch};

/// Serves until asked to stop.
///
/// # Errors
/// `Config` without `--metrics-only`, if the file or a secret of its target will not do, or if the
/// address cannot be listened on. A target that cannot be reached is a metric, no error.
pub async fn serve(args: &Serve, telemetry: &Telemetry, stop: &CancellationToken) -> Result<u8> {
    if !args.metrics_only {
        return Err(Error::config(
            "serve: give --metrics-only; serving metrics is all that this command can do, `run` \
             carries rows",
        ));
    }
    let file = PipelineFile::load(&args.file, Secrets::OfTarget)?;
    let pulses = Arc::new(Pulses::new(file.streams().len(), args.every));
    let mut watches = JoinSet::new();
    for (index, stream) in file.streams().iter().enumerate() {
        let metrics = telemetry.metrics(&stream.pipeline, &stream.name);
        for section in [file.source(), file.target()] {
            metrics.tls_unverified(section.side, section.tls_unverified());
        }
        let ledger = telemetry.ledger(&stream.pipeline, &stream.name);
        let span = tracing::info_span!("ledger", pipeline = stream.pipeline, stream = stream.name);
        let watch = Watch::new(&file, stream, ledger)?;
        watches.spawn(watch.forever(args.every, Arc::clone(&pulses), index).instrument(span));
    }
    let server = telemetry.serve(&args.addr, pulses).await?;
    stop.cancelled().await;
    drop(server);
    Ok(exit::DONE)
}
