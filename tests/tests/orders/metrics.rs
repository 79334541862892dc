//! The ledger's page, and the login that may only read it.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use etl_sql::mssql::{Connection, MssqlConfig};
use etl_tests::wire::{Protocol, Proxy, Rules};

use super::shop::Shop;
use crate::support::binary::{self, Said};
use crate::support::page::Page;

const PASSWORD: &str = "Metrics-pass-1'z";

impl Shop {
    fn metrics_login(&self) -> String {
        self.login.replace("etl_job", "etl_metrics")
    }

    fn metrics_url(&self, host: &str, port: u16, password: &str) -> String {
        let mut target = self.target.clone();
        (target.owner.host, target.owner.port) = (host.to_owned(), port);
        target.url(&self.metrics_login(), password)
    }

    fn own_metrics_url(&self, password: &str) -> String {
        self.metrics_url(&self.target.owner.host, self.target.owner.port, password)
    }

    /// `mssql-init` with a metrics url.
    fn init_metrics(&self, url: &str) -> Command {
        let path = self.path("metrics-url");
        std::fs::write(&path, url).unwrap();
        let mut command = self.init_command();
        command.env("MSSQL_METRICS_URL_FILE", path);
        command
    }

    /// `etl-job serve`, with no secret of the source.
    fn serve(&self, url: &str) -> Page {
        let file = self.file_path();
        let arguments =
            ["serve", "--metrics-only", &file, "--addr", "127.0.0.1:0", "--every", "1s"];
        let mut command = binary::command(&arguments);
        command.env("MSSQL_URL", url).env_remove("PG_URL");
        Page::start(command)
    }

    /// What a login of the pipeline's database may.
    async fn may(&self, url: &str, sql: &str) -> bool {
        let mut login = MssqlConfig::from_url(&url.to_owned().into()).unwrap();
        login.tls = self.target.owner.tls;
        let mut connection = Connection::open(&login).await.unwrap();
        connection.batch(sql, "a test's statement").await.is_ok()
    }
}

fn said(mut command: Command) -> Said {
    Said::of(&command.output().unwrap())
}

/// A link that can be broken: it ends with its value, and its connections with it.
async fn link(port: u16, server: &str) -> Proxy {
    Proxy::start_at(port, Protocol::Tds, server, Rules::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_what_the_ledger_says_and_nothing_while_it_cannot_be_read() {
    let mut shop = Shop::unprepared(100, "upsert").await;
    shop.file["target"]["tls"] = "disable".into();
    shop.write();
    said(shop.init_metrics(&shop.own_metrics_url(PASSWORD))).expect(0);
    let server = format!("{}:{}", shop.target.owner.host, shop.target.owner.port);
    let broken = link(0, &server).await;
    let port = broken.port();
    let page = shop.serve(&shop.metrics_url("127.0.0.1", port, PASSWORD));
    let never = page.wait_up();
    assert_eq!(never.get("etl_ledger_last_success_time_seconds"), None, "{never:?}");
    assert_eq!(never.get("etl_ledger_freshness_seconds"), None, "{never:?}");
    assert_eq!(never["etl_ledger_runs_total success"], 0.0);
    assert!((0.0..600.0).contains(&never["etl_ledger_checkpoint_age_seconds"]), "{never:?}");

    shop.run();
    let after =
        page.wait("the run", |found| found.get("etl_ledger_runs_total success") == Some(&1.0));
    let ledger = shop
        .target
        .rows(
            "SELECT [rows_read], [rows_written], [rows_deleted], [rows_unchanged], [rows_reread],
                    DATEDIFF_BIG(microsecond, CONVERT(datetime2(6), N'1970-01-01', 126), [started_at]),
                    DATEDIFF_BIG(microsecond, CONVERT(datetime2(6), N'1970-01-01', 126), [finished_at]),
                    DATEDIFF_BIG(microsecond, CONVERT(datetime2(6), N'1970-01-01', 126), [source_horizon])
               FROM [etl].[run];",
        )
        .await;
    let number = |column: usize| ledger[0][column].as_deref().unwrap().parse::<f64>().unwrap();
    for (column, kind) in ["read", "written", "deleted", "unchanged", "reread"].iter().enumerate() {
        assert_eq!(after[&format!("etl_ledger_rows_total {kind}")], number(column), "{kind}");
    }
    assert!(after["etl_ledger_rows_total written"] > 0.0, "{after:?}");
    let near = |name: &str, seconds: f64| {
        let found = after[name];
        assert!((found - seconds).abs() < 0.001, "{name} is {found}, the ledger says {seconds}");
    };
    near("etl_ledger_last_run_time_seconds", number(5) / 1e6);
    near("etl_ledger_last_success_time_seconds", number(6) / 1e6);
    near("etl_ledger_last_run_duration_seconds", (number(6) - number(5)) / 1e6);
    near("etl_ledger_source_horizon_time_seconds", number(7) / 1e6);
    assert!((0.0..600.0).contains(&after["etl_ledger_freshness_seconds"]), "{after:?}");

    drop(broken);
    page.wait_down();
    assert!(page.get("/healthz").0.contains("200") && page.get("/readyz").0.contains("200"));
    let _mended = link(port, &server).await;
    let back = page.wait_up();
    assert_eq!(
        back["etl_ledger_last_success_time_seconds"],
        after["etl_ledger_last_success_time_seconds"]
    );
    assert_eq!(back.len(), after.len(), "{back:?}");
    page.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_tried_once_and_a_new_one_at_once() {
    let mut shop = Shop::unprepared(10, "upsert").await;
    let secret = shop.path("served-url");
    shop.file["target"]["tls"] = "disable".into();
    shop.write();
    said(shop.init_metrics(&shop.own_metrics_url(PASSWORD))).expect(0);
    shop.file["target"]["url"] = format!("${{file:{}}}", secret.display()).into();
    shop.write();
    let server = format!("{}:{}", shop.target.owner.host, shop.target.owner.port);
    let (port, logins) = counted(&server).await;
    std::fs::write(&secret, shop.metrics_url("127.0.0.1", port, "Wrong-pass-1")).unwrap();
    let mut page = shop.serve("unused");
    page.running.wait_for("the ledger cannot be read");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(logins.load(Ordering::SeqCst), 1, "a refused password was tried again");
    page.wait_down();
    std::fs::write(&secret, shop.metrics_url("127.0.0.1", port, PASSWORD)).unwrap();
    page.wait_up();
    assert_eq!(logins.load(Ordering::SeqCst), 2, "one connection is kept");
    let log = page.stop();
    assert_eq!(log.matches("the ledger cannot be read").count(), 1, "told once: {log}");
}

/// A way to the server that counts connections.
async fn counted(server: &str) -> (u16, Arc<AtomicU32>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicU32::new(0));
    let (server, counter) = (server.to_owned(), Arc::clone(&count));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let mut server = tokio::net::TcpStream::connect(&server).await.unwrap();
            tokio::spawn(async move {
                tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
            });
        }
    });
    (port, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_login_can_read_the_state_and_nothing_else() {
    let shop = Shop::unprepared(10, "upsert").await;
    said(shop.init_metrics(&shop.own_metrics_url(PASSWORD))).expect(0);
    shop.run();
    let url = shop.own_metrics_url(PASSWORD);
    for table in ["checkpoint", "run", "quarantine", "schema_version"] {
        let sql = format!("SELECT COUNT_BIG(*) FROM [etl].[{table}];");
        assert!(shop.may(&url, &sql).await, "{sql}");
    }
    for sql in [
        "SELECT [id] FROM [dbo].[orders];",
        "INSERT INTO [dbo].[orders] ([id]) VALUES (1);",
        "UPDATE [dbo].[orders] SET [note] = N'x';",
        "DELETE FROM [dbo].[orders];",
        "UPDATE [etl].[checkpoint] SET [sequence] = 0;",
        "DELETE FROM [etl].[checkpoint];",
        "INSERT INTO [etl].[checkpoint] ([pipeline], [sequence], [rows_total], [updated_at]) VALUES (N'x', 0, 0, SYSUTCDATETIME());",
        "UPDATE [etl].[run] SET [outcome] = N'success';",
        "DELETE FROM [etl].[run];",
        "DELETE FROM [etl].[quarantine];",
        "INSERT INTO [etl].[schema_version] ([version], [name], [checksum], [applied_at]) VALUES (9, N'x', N'x', SYSUTCDATETIME());",
        "TRUNCATE TABLE [etl].[run];",
        "DROP TABLE [etl].[run];",
        "ALTER TABLE [etl].[run] ADD [x] int NULL;",
        "CREATE TABLE [dbo].[mine] ([a] int NOT NULL);",
        "CREATE SCHEMA [mine];",
        "GRANT SELECT ON OBJECT::[dbo].[orders] TO [etl_reader];",
        "CREATE LOGIN [intruder] WITH PASSWORD = N'Intruder-1';",
    ] {
        assert!(!shop.may(&url, sql).await, "allowed: {sql}");
    }
    // A job with this login does not even see its target.
    let refused = shop.job_to(&url, "run", &["--json"]).expect(64);
    assert!(refused.stderr.contains("the login has no right on it"), "{refused:?}");
    shop.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_login_is_made_once_and_its_password_rotated() {
    let shop = Shop::unprepared(10, "upsert").await;
    let (old, new) = (shop.own_metrics_url(PASSWORD), shop.own_metrics_url("Rotated-pass-2'y"));
    let dry = {
        let mut command = shop.init_metrics(&old);
        command.arg("--dry-run");
        said(command).expect(0)
    };
    assert!(dry.stdout.contains("GRANT SELECT ON OBJECT::[etl].[run] TO [etl_reader];"), "{dry:?}");
    assert!(!dry.stdout.contains("Metrics-pass"), "a password in: {dry:?}");
    said(shop.init_metrics(&old)).expect(0);
    said(shop.init_metrics(&old)).expect(0);
    said(shop.init_metrics(&new)).expect(0);
    let page = shop.serve(&new);
    page.wait_up();
    page.stop();
    let refused = MssqlConfig::from_url(&old.into()).unwrap();
    let refused = MssqlConfig { tls: shop.target.owner.tls, ..refused };
    assert!(Connection::open(&refused).await.is_err(), "the old password still works");
    shop.run();
    shop.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metrics_login_that_is_not_its_own_is_refused() {
    let shop = Shop::unprepared(10, "upsert").await;
    let owner = shop.target.owner.clone();
    let as_login = |login: &str| shop.target.url(login, PASSWORD);
    let mut elsewhere = shop.target.clone();
    elsewhere.owner.database = "master".to_owned();
    for (url, part) in [
        (as_login(&shop.login.to_uppercase()), "login of its own"),
        (as_login(&owner.user), "one of its own"),
        (as_login("SA"), "login of its own"),
        (as_login("etl_writer"), "login of its own"),
        (as_login("etl_reader"), "login of its own"),
        (shop.own_metrics_url("CHANGE_ME"), "placeholder"),
        (shop.metrics_url("elsewhere.example", owner.port, PASSWORD), "metrics url leads to"),
        (shop.metrics_url(&owner.host, 1, PASSWORD), "metrics url leads to"),
        (elsewhere.url("etl_metrics", PASSWORD), "metrics url leads to"),
        ("not a url".to_owned(), "the metrics url"),
        (shop.own_metrics_url(&"xy".repeat(65)), "UTF-16 code units"),
    ] {
        let refused = said(shop.init_metrics(&url)).expect(64);
        // On a server whose administrator is sa the one answer stands for both.
        let sa = owner.user.eq_ignore_ascii_case("sa") && url == as_login(&owner.user);
        let part = if sa { "login of its own" } else { part };
        assert!(refused.stderr.contains(part), "{part}: {refused:?}");
        assert!(!refused.stderr.contains(PASSWORD), "{refused:?}");
    }
    let mut missing = shop.init_command();
    missing.args(["--metrics-url-file", "/no/such/file"]);
    let missing = said(missing).expect(64);
    assert!(missing.stderr.contains("reading the metrics url from /no/such/file"), "{missing:?}");
    let made = "SELECT COUNT_BIG(*) FROM sys.tables WHERE [name] = N'checkpoint';";
    assert_eq!(shop.target.number(made).await, 0, "something was made");
}
