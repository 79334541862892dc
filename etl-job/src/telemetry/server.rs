//! `/metrics`, `/healthz` and `/readyz` over plain HTTP while a process runs.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use etl_core::{Error, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// More than a few scrapers at once are not scrapers.
const CONNECTIONS: usize = 16;

/// A client that sends nothing is sent away.
const HEADER_LIMIT: Duration = Duration::from_secs(5);

/// What `/healthz` and `/readyz` ask; the error is what they say.
pub trait Health: Send + Sync {
    /// Whether the process does its work. If not, it should be started anew.
    ///
    /// # Errors
    /// With what stands still.
    fn alive(&self) -> Result<(), String>;

    /// Whether the page is worth reading yet.
    ///
    /// # Errors
    /// With what is still missing.
    fn ready(&self) -> Result<(), String>;
}

/// Healthy as long as it answers.
#[derive(Debug, Clone, Copy)]
pub struct Answering;

impl Health for Answering {
    fn alive(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A running metrics page. Dropping it ends it.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl MetricsServer {
    pub(super) async fn start(
        address: &str,
        registry: Registry,
        health: Arc<dyn Health>,
    ) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::config(format!("metrics address {address}: cannot listen there"))
                .with_source(error)
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(%address, "metrics are served at /metrics");
        let task = tokio::spawn(serve(listener, Page { registry, health }));
        Ok(Self { address, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Page {
    registry: Registry,
    health: Arc<dyn Health>,
}

async fn serve(listener: TcpListener, page: Page) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: others must end first.
                tracing::warn!("the metrics page cannot take a connection: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let page = page.clone();
        tokio::spawn(async move {
            connection(stream, &page).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, page: &Page) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, page)) });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("a connection to the metrics page ended: {error}");
    }
}

fn answer(request: &Request<Incoming>, page: &Page) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => match super::page(&page.registry) {
            Ok(page) => (StatusCode::OK, prometheus::TEXT_FORMAT, page),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
        },
        (&Method::GET, "/healthz") => verdict(page.health.alive()),
        (&Method::GET, "/readyz") => verdict(page.health.ready()),
        _ => (StatusCode::NOT_FOUND, "text/plain", "see /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert("content-type", kind);
    }
    response
}

fn verdict(health: Result<(), String>) -> (StatusCode, &'static str, String) {
    match health {
        Ok(()) => (StatusCode::OK, "text/plain", "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", why + "\n"),
    }
}
