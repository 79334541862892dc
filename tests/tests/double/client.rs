//! A `tiberius` client of a double, and short ways to ask it.

use etl_tests::tds::{Handle, Options, Server};
use tiberius::{AuthMethod, Client, ColumnData, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

pub(super) type Sql = Client<Compat<TcpStream>>;

pub(super) fn server() -> Handle {
    Server::start(Options::default()).unwrap()
}

pub(super) fn config(server: &Handle) -> Config {
    config_of(server.port(), "sa", server.sa_password(), "test")
}

pub(super) fn config_of(port: u16, user: &str, password: &str, database: &str) -> Config {
    let mut c = Config::new();
    c.host("127.0.0.1");
    c.port(port);
    c.database(database);
    c.authentication(AuthMethod::sql_server(user, password));
    c.encryption(EncryptionLevel::NotSupported);
    c
}

pub(super) async fn connect_with(config: Config) -> tiberius::Result<Sql> {
    let tcp = TcpStream::connect(config.get_addr()).await?;
    tcp.set_nodelay(true)?;
    // The client's future is large.
    Box::pin(Client::connect(config, tcp.compat_write())).await
}

pub(super) async fn connect(server: &Handle) -> Sql {
    connect_with(config(server)).await.unwrap()
}

pub(super) async fn connect_as(server: &Handle, user: &str, password: &str) -> Sql {
    connect_with(config_of(server.port(), user, password, "test")).await.unwrap()
}

/// Runs a batch; panics on an error.
pub(super) async fn run(c: &mut Sql, sql: &str) {
    if let Err(e) = try_run(c, sql).await {
        panic!("{e}\nin: {sql}");
    }
}

pub(super) async fn try_run(c: &mut Sql, sql: &str) -> tiberius::Result<()> {
    c.simple_query(sql).await?.into_results().await.map(drop)
}

/// The number of the error that a batch must raise.
pub(super) async fn fails(c: &mut Sql, sql: &str) -> u32 {
    match try_run(c, sql).await {
        Ok(()) => panic!("no error from: {sql}"),
        Err(e) => e.code().unwrap_or_else(|| panic!("{e}\nin: {sql}")),
    }
}

/// Every result set, each value as text.
pub(super) async fn texts(c: &mut Sql, sql: &str) -> Vec<Vec<Vec<String>>> {
    let results = match c.simple_query(sql).await {
        Ok(s) => s.into_results().await,
        Err(e) => Err(e),
    };
    let results = results.unwrap_or_else(|e| panic!("{e}\nin: {sql}"));
    results
        .into_iter()
        .map(|rows| rows.into_iter().map(|r| r.into_iter().map(|v| text(&v)).collect()).collect())
        .collect()
}

/// The first result set, rows joined by `|`, values by `,`.
pub(super) async fn one(c: &mut Sql, sql: &str) -> String {
    let sets = texts(c, sql).await;
    let rows = sets.first().map(|rows| rows.iter().map(|r| r.join(",")).collect::<Vec<_>>());
    rows.unwrap_or_default().join("|")
}

pub(super) fn text(v: &ColumnData<'_>) -> String {
    fn show<T: std::fmt::Display>(v: &Option<T>) -> String {
        v.as_ref().map_or_else(|| "NULL".to_owned(), ToString::to_string)
    }
    match v {
        ColumnData::U8(x) => show(x),
        ColumnData::I16(x) => show(x),
        ColumnData::I32(x) => show(x),
        ColumnData::I64(x) => show(x),
        ColumnData::F32(x) => show(x),
        ColumnData::F64(x) => show(x),
        ColumnData::Bit(x) => show(x),
        ColumnData::String(x) => show(x),
        ColumnData::Guid(x) => show(x),
        ColumnData::Numeric(x) => show(x),
        other => format!("{other:?}"),
    }
}
