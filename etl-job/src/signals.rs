//! SIGTERM and SIGINT: the first asks to stop, the second insists.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit;

/// Listens from now on; the token is cancelled by the first signal. The second ends the process
/// at once with exit code 75: what was committed stays, the lease expires by itself.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn listen() -> io::Result<CancellationToken> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let name = first(&mut term, &mut interrupt).await;
        tracing::info!(signal = name, "asked to stop; a run ends at its next batch boundary");
        token.cancel();
        let name = first(&mut term, &mut interrupt).await;
        tracing::warn!(signal = name, "asked to stop a second time; ending at once");
        std::process::exit(i32::from(exit::TEMPORARY));
    });
    Ok(stop)
}

async fn first(term: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
