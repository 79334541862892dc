//! Answers of a SQL Server that are not as they should be, through the driver, our connections, the
//! source, the sink and the engine.

use std::sync::Arc;
use std::time::Duration;

use etl_core::connector::Stream;
use etl_core::pipeline::Finished;
use etl_core::retry::RetryPolicy;
use etl_core::{Outcome, Pipeline, PipelineOptions};
use etl_sql::mssql::{Connection, MssqlConfig, Tls};
use etl_tests::tds::{Encryption, Handle, Options, Server};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::mutate;
use super::recording::{Answers, Liar, Lie, Recorder, Then};

/// A table of the types that a driver decodes in ways of their own.
const TABLE: &str = "
CREATE TABLE dbo.t (
    id bigint NOT NULL PRIMARY KEY, a int NULL, b bit NULL, c decimal(38, 10) NULL, d float NULL, e real NULL,
    f nvarchar(40) NULL, g varchar(40) NULL, h nvarchar(max) NULL, i varbinary(max) NULL, j date NULL,
    k time(6) NULL, l datetime2(6) NULL, m datetimeoffset(6) NULL, n uniqueidentifier NULL, o smallint NULL,
    p tinyint NULL, q money NULL, rv rowversion NOT NULL
);
CREATE UNIQUE INDEX ix ON dbo.t (rv);
INSERT INTO dbo.t (id, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q) VALUES
    (1, 1, 1, 1.5, 1.5, 1.5, N'a', 'b', N'c', 0x00ff, '2024-02-29', '12:34:56.123456', '2024-02-29T12:34:56.123456',
     '2024-02-29T12:34:56.123456+02:00', '00112233-4455-6677-8899-aabbccddeeff', 1, 1, 1.5),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, -1, 0, -1.5, -1.5, -1.5, N'', '', N'', 0x, '0001-01-01', '00:00', '9999-12-31T23:59:59.999999',
     '0001-01-01T00:00:00+00:00', '00000000-0000-0000-0000-000000000000', -1, 255, -1.5);";

fn stream() -> Stream {
    let config = json!({
        "object": "dbo.copy", "primary_key": ["id"], "cursor": { "column": "rv" },
        "select": ["id", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "rv"],
        "where": "id > 0", "columns": { "m": "datetimeoffset(6)" },
    });
    let config = serde_json::from_value(config).unwrap();
    Stream { pipeline: "hostile".to_owned(), name: "dbo.t".to_owned(), config }
}

fn section(port: u16, password: &str) -> Value {
    json!({
        "type": "mssql", "url": format!("mssql://sa:{password}@127.0.0.1:{port}/test"), "tls": "disable",
        "connect_timeout": "1s", "command_timeout": "1s",
    })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// One run, from one port to another.
fn run(source: u16, target: u16, password: &str) -> Finished {
    let build = etl_sources::find("mssql").unwrap().build;
    let source = build(&section(source, password), &stream()).unwrap();
    let sink = (etl_sinks::find("mssql").unwrap().build)(&section(target, password), &stream());
    let wait = Duration::from_millis(1);
    let options = PipelineOptions {
        retry: RetryPolicy { base: wait, cap: wait, tries: 2 },
        lease_ttl: Duration::from_secs(2),
        // A changed answer may tell of a lease that somebody else holds, which is waited out.
        deadline: Some(Duration::from_millis(500)),
        ..PipelineOptions::default()
    };
    let mut pipeline =
        Pipeline::new(stream().full_name(), source, Vec::new(), sink.unwrap(), options);
    runtime().block_on(pipeline.run(&CancellationToken::new()))
}

/// What source and target say in a run that works.
pub(crate) struct Recorded {
    source: Arc<Vec<Answers>>,
    target: Arc<Vec<Answers>>,
    password: String,
    _server: Handle,
}

impl Recorded {
    /// Has a pipeline run against the double, and makes sure that it works again from the record.
    pub(crate) fn new() -> Self {
        let options = Options { encryption: Encryption::NotSupported, ..Options::default() };
        let server = Server::start(options).unwrap();
        let password = server.sa_password().replace('!', "%21");
        runtime().block_on(async {
            let url = secrecy::SecretString::from(server.url());
            let config = MssqlConfig { tls: Tls::Disable, ..MssqlConfig::from_url(&url).unwrap() };
            let mut connection = Connection::open(&config).await.unwrap();
            connection.batch(TABLE, "making a table").await.unwrap();
            let build = etl_sources::find("mssql").unwrap().build;
            let source = build(&section(server.port(), &password), &stream()).unwrap();
            let admin = etl_sinks::find("mssql").unwrap().admin;
            let mut admin = admin(&section(server.port(), &password), &stream()).unwrap();
            admin.prepare(&source.schema().await.unwrap()).await.unwrap();
        });
        let (source, target) = (Recorder::start(server.port()), Recorder::start(server.port()));
        let finished = run(source.port, target.port, &password);
        assert_eq!(finished.report.outcome, Outcome::Success, "{:?}", finished.error);
        assert_eq!(finished.report.written, 3);
        let (source, target) = (Arc::new(source.said()), Arc::new(target.said()));
        let recorded = Self { source, target, password, _server: server };
        let again = recorded.run_with(true, None);
        assert_eq!(again.report.outcome, Outcome::Success, "said again: {:?}", again.error);
        recorded
    }

    /// Side, connection and answer of each answer.
    fn places(&self) -> Vec<(bool, usize, usize)> {
        let sides = [(true, &self.source), (false, &self.target)];
        let places = sides.into_iter().flat_map(|(of_source, connections)| {
            connections.iter().enumerate().flat_map(move |(connection, answers)| {
                (0..answers.len()).map(move |answer| (of_source, connection, answer))
            })
        });
        places.collect()
    }

    /// For `fuzz/`: the run in which the answer that the first two bytes choose consists of the others.
    #[allow(dead_code, reason = "the tests change answers, the fuzzer makes them")]
    pub(crate) fn answered(&self, input: &[u8]) {
        let Some((choice, tokens)) = input.split_first_chunk::<2>() else { return };
        let places = self.places();
        let (of_source, connection, answer) =
            places[usize::from(u16::from_be_bytes(*choice)) % places.len()];
        let bytes = packets(4, tokens);
        let lie = Lie { connection, answer, bytes, then: Then::GoOn };
        self.run_with(of_source, Some(lie));
    }

    /// A run in which one answer is changed.
    pub(crate) fn run_changed(&self, rng: &mut Rng) -> Finished {
        let (of_source, connection, answer) = *rng.choice(&self.places()).unwrap();
        let recorded = if of_source { &self.source } else { &self.target };
        let all: Vec<_> = recorded.iter().flatten().cloned().collect();
        let bytes = changed(rng, &recorded[connection][answer], &all);
        let then = match rng.u8(..) {
            // It costs a second each.
            0 => Then::Silence,
            1..128 => Then::GoOn,
            _ => Then::Close,
        };
        self.run_with(of_source, Some(Lie { connection, answer, bytes, then }))
    }

    fn run_with(&self, of_source: bool, lie: Option<Lie>) -> Finished {
        let (source, target) = if of_source { (lie, None) } else { (None, lie) };
        let source = Liar::start(Arc::clone(&self.source), source);
        let target = Liar::start(Arc::clone(&self.target), target);
        run(source.port, target.port, &self.password)
    }
}

/// Mostly the tokens inside the packets are changed and the packets made to fit, sometimes the packets.
fn changed(rng: &mut Rng, answer: &[u8], all: &[Vec<u8>]) -> Vec<u8> {
    let mut input = answer.to_vec();
    if rng.u8(..4) == 0 {
        mutate::change(rng, &mut input, all);
        return input;
    }
    let mut tokens = tokens_of(answer);
    let all: Vec<_> = all.iter().map(|answer| tokens_of(answer)).collect();
    for _ in 0..rng.usize(1..=3) {
        mutate::change(rng, &mut tokens, &all);
    }
    packets(answer.first().copied().unwrap_or(4), &tokens)
}

fn tokens_of(answer: &[u8]) -> Vec<u8> {
    let mut tokens = Vec::new();
    let mut rest = answer;
    while let Some(length) = rest.get(2..4).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]]))) {
        tokens.extend_from_slice(&rest[8..length]);
        rest = &rest[length..];
    }
    tokens
}

fn packets(kind: u8, tokens: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let count = tokens.chunks(4_000).len();
    for (index, part) in tokens.chunks(4_000).enumerate() {
        let last = u8::from(index + 1 == count);
        let length = u16::try_from(part.len() + 8).unwrap().to_be_bytes();
        bytes.extend([
            kind,
            last,
            length[0],
            length[1],
            0,
            0,
            u8::try_from(index % 256).unwrap(),
            0,
        ]);
        bytes.extend_from_slice(part);
    }
    bytes
}
