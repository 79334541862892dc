//! The server double as a process of its own, for tests that kill it.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use etl_tests::tds::{Encryption, Options, Server};

/// A TDS / T-SQL server for tests. Prints `listening on ADDR` and runs until it is killed.
#[derive(Debug, Parser)]
#[command(name = "tds-double")]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File that keeps every commit.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Environment variable that holds the password of sa.
    #[arg(long, conflicts_with = "sa_password_file", required_unless_present = "sa_password_file")]
    sa_password_env: Option<String>,
    /// File that holds the password of sa.
    #[arg(long)]
    sa_password_file: Option<PathBuf>,
    /// Certificate chain, PEM; without it a self-signed one is made.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key, PEM.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Turn clients away that do not encrypt.
    #[arg(long)]
    require_tls: bool,
    /// Databases that exist from the start.
    #[arg(long = "database", default_value = "test")]
    databases: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let a = Arguments::parse();
    let sa_password = match (&a.sa_password_env, &a.sa_password_file) {
        (Some(name), _) => std::env::var(name)
            .with_context(|| format!("reading the environment variable {name}"))?,
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("reading {}", path.display()))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        (None, None) => anyhow::bail!("the password of sa is missing"),
    };
    let identity = match (&a.tls_cert, &a.tls_key) {
        (Some(cert), Some(key)) => Some((
            std::fs::read_to_string(cert).with_context(|| format!("reading {}", cert.display()))?,
            std::fs::read_to_string(key).with_context(|| format!("reading {}", key.display()))?,
        )),
        _ => None,
    };
    let server = Server::start(Options {
        listen: a.listen,
        sa_password,
        data: a.data,
        identity,
        encryption: if a.require_tls { Encryption::Required } else { Encryption::Supported },
        databases: a.databases,
        ..Options::default()
    })
    .context("starting the server")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {}", server.addr)?;
    out.flush()?;
    drop(out);
    loop {
        std::thread::park();
    }
}
