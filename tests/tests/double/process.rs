//! The double as a process: what a commit wrote survives `kill -9`; TLS; speed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use etl_tests::tds::{Encryption, Options, Server};
use tiberius::numeric::Numeric;
use tiberius::{ColumnData, EncryptionLevel, TokenRow};

use super::client::{
    Sql, config, config_of, connect, connect_with, fails, one, run, server, try_run,
};

struct Process {
    child: Child,
    port: u16,
}

impl Process {
    fn start(data: &Path) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tds-double"))
            .args(["--listen", "127.0.0.1:0", "--sa-password-env", "DOUBLE_SA", "--data"])
            .arg(data)
            .env("DOUBLE_SA", "s3cret")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}"));
        let port = addr.rsplit(':').next().unwrap().parse().unwrap();
        Process { child, port }
    }

    async fn connect(&self) -> Sql {
        connect_with(config_of(self.port, "sa", "s3cret", "test")).await.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL, as a test wants it. It may have ended already.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[tokio::test]
async fn a_killed_process_comes_back_with_exactly_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("double.log");
    let p = Process::start(&data);
    let mut c = p.connect().await;
    run(&mut c, "CREATE LOGIN etl WITH PASSWORD = N'L0ader-pass'; CREATE USER etl FOR LOGIN etl;
        CREATE TABLE t (id int IDENTITY PRIMARY KEY, v nvarchar(20) NOT NULL, d decimal(10,2) NULL); CREATE UNIQUE INDEX ux ON t (v); GRANT SELECT ON t TO etl").await;
    run(&mut c, "INSERT t (v, d) VALUES (N'é😀', 1.5), (N'b', NULL), (N'c', -3); UPDATE t SET v = N'B' WHERE v = 'b'; DELETE t WHERE v = 'c'").await;
    run(&mut c, "CREATE TABLE gone (a int); INSERT gone VALUES (1); TRUNCATE TABLE gone; INSERT gone VALUES (2); ALTER TABLE gone ADD b int NOT NULL DEFAULT 9").await;
    run(&mut c, "BEGIN TRAN; INSERT t (v) VALUES (N'never'); DELETE t WHERE v = 'B'").await;
    drop(p);
    assert!(try_run(&mut c, "COMMIT").await.is_err());
    let p = Process::start(&data);
    let mut c = p.connect().await;
    assert_eq!(one(&mut c, "SELECT id, v, d FROM t ORDER BY id").await, "1,é😀,1.50|2,B,NULL");
    assert_eq!(one(&mut c, "SELECT a, b FROM gone").await, "2,9");
    assert_eq!(fails(&mut c, "INSERT t (v) VALUES (N'b')").await, 2601, "the index is back");
    run(&mut c, "INSERT t (v) VALUES (N'next')").await;
    assert!(
        one(&mut c, "SELECT MAX(id) FROM t").await.parse::<i32>().unwrap() > 3,
        "identity values are not used twice"
    );
    let mut l = connect_with(config_of(p.port, "etl", "L0ader-pass", "test")).await.unwrap();
    assert_eq!(one(&mut l, "SELECT COUNT(*) FROM t").await, "3");
    assert_eq!(fails(&mut l, "DELETE t").await, 229);
}

#[tokio::test]
async fn killed_at_any_moment_a_batch_of_rows_is_there_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("double.log");
    let mut acknowledged = 0;
    for round in 0_u64..4 {
        let p = Process::start(&data);
        let mut c = p.connect().await;
        run(&mut c, "IF OBJECT_ID('t') IS NULL CREATE TABLE t (n int NOT NULL, batch int NOT NULL, PRIMARY KEY (batch, n))").await;
        // Whole batches of 50, in order; the last may be one that was not acknowledged.
        let found =
            one(&mut c, "SELECT COUNT(DISTINCT batch), COUNT(*), ISNULL(MAX(batch), 0) FROM t")
                .await;
        let [batches, rows, last] =
            found.split(',').map(|n| n.parse::<u32>().unwrap()).collect::<Vec<_>>()[..]
        else {
            panic!()
        };
        assert_eq!((rows, last), (batches * 50, batches));
        assert!(
            batches == acknowledged || batches == acknowledged + 1,
            "{batches} of {acknowledged}"
        );
        acknowledged = batches;
        let killer = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(60 + 35 * round));
            drop(p);
        });
        let values: Vec<String> = (0..50).map(|n| format!("({n}, @b)")).collect();
        let insert = format!(
            "DECLARE @b int = (SELECT ISNULL(MAX(batch), 0) + 1 FROM t); INSERT t VALUES {}",
            values.join(",")
        );
        while try_run(&mut c, &insert).await.is_ok() {
            acknowledged += 1;
        }
        killer.join().unwrap();
    }
    assert!(acknowledged > 0);
}

#[tokio::test]
async fn tls_is_offered_refused_and_required() {
    let server = server();
    let ask = async |server: &etl_tests::tds::Handle, level: EncryptionLevel, trust: bool| {
        let mut c = config(server);
        c.host("localhost");
        c.encryption(level);
        if trust {
            c.trust_cert_ca_bundle(server.certificate().unwrap_or_default().as_bytes().to_vec());
        }
        connect_with(c).await
    };
    for level in [EncryptionLevel::Required, EncryptionLevel::On, EncryptionLevel::Off] {
        let mut c = ask(&server, level, true).await.unwrap();
        assert_eq!(one(&mut c, "SELECT REPLICATE(N'x', 3000)").await.len(), 3000);
        let long = "y".repeat(50_000);
        let row = c
            .query("SELECT LEN(@P1)", &[&long.as_str()])
            .await
            .unwrap()
            .into_row()
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.get::<i64, _>(0), Some(50_000));
    }
    assert!(
        ask(&server, EncryptionLevel::Required, false).await.is_err(),
        "an unknown certificate"
    );
    let plain =
        Server::start(Options { encryption: Encryption::NotSupported, ..Options::default() })
            .unwrap();
    assert!(ask(&plain, EncryptionLevel::Required, false).await.is_err());
    assert!(ask(&plain, EncryptionLevel::NotSupported, false).await.is_ok());
    let strict =
        Server::start(Options { encryption: Encryption::Required, ..Options::default() }).unwrap();
    assert!(ask(&strict, EncryptionLevel::Required, true).await.is_ok());
    assert!(ask(&strict, EncryptionLevel::NotSupported, false).await.is_err());
}

#[tokio::test]
async fn packets_may_have_any_size() {
    let server = server();
    for size in [512, 4096, 32_767] {
        let mut c = config(&server);
        c.packet_size(size);
        let mut c = connect_with(c).await.unwrap();
        let text = "z".repeat(30_000);
        let row = c
            .query("SELECT @P1 + N'!'", &[&text.as_str()])
            .await
            .unwrap()
            .into_row()
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.get::<&str, _>(0).map(str::len), Some(30_001));
        assert_eq!(
            one(&mut c, "SELECT COUNT(*) FROM sys.objects a CROSS JOIN sys.types b").await,
            "0"
        );
    }
}

/// Loads `rows` rows of six columns; returns rows per second.
async fn load(c: &mut Sql, table: &str, from: i64, rows: i64) -> f64 {
    let start = Instant::now();
    let mut bulk = c.bulk_insert(table).await.unwrap();
    for id in from..from + rows {
        let mut row = TokenRow::with_capacity(6);
        row.push(ColumnData::I64(Some(id)));
        row.push(ColumnData::String(Some(format!("customer {}", id % 1000).into())));
        row.push(ColumnData::String(Some("confirmed".into())));
        row.push(ColumnData::Numeric(Some(Numeric::new_with_scale(i128::from(id) * 7, 2))));
        row.push(ColumnData::String((id % 3 == 0).then(|| "a note of some length".into())));
        row.push(ColumnData::I32(Some(1)));
        bulk.send(row).await.unwrap();
    }
    assert_eq!(bulk.finalize().await.unwrap().total(), u64::try_from(rows).unwrap());
    f64::from(u32::try_from(rows).unwrap()) / start.elapsed().as_secs_f64()
}

const COLUMNS: &str = "(id bigint NOT NULL PRIMARY KEY, customer nvarchar(400) COLLATE Latin1_General_100_BIN2 NOT NULL, status nvarchar(64) COLLATE Latin1_General_100_BIN2 NOT NULL, amount decimal(18,2) NOT NULL, note nvarchar(max) COLLATE Latin1_General_100_BIN2 NULL, version int NOT NULL)";

/// Figures for people; run with `--ignored --nocapture`.
#[tokio::test]
#[ignore = "measures, does not check"]
async fn speed() {
    let dir = tempfile::tempdir().unwrap();
    for data in [None, Some(dir.path().join("log"))] {
        let server = Server::start(Options { data: data.clone(), ..Options::default() }).unwrap();
        let mut c = config(&server);
        c.packet_size(32_767);
        c.command_timeout(None);
        let mut c = connect_with(c).await.unwrap();
        run(&mut c, &format!("CREATE TABLE big {COLUMNS}; CREATE TABLE #s {COLUMNS}")).await;
        println!("data file: {}", data.is_some());
        for n in 0..10 {
            println!("  bulk {n}: {:.0} rows/s", load(&mut c, "big", n * 100_000, 100_000).await);
        }
        println!("  stage: {:.0} rows/s", load(&mut c, "#s", 975_000, 50_000).await);
        for sql in [
            "UPDATE t SET t.customer = s.customer, t.version = 2 FROM big t JOIN #s s ON s.id = t.id WHERE s.status = t.status OR DATALENGTH(s.customer) <> DATALENGTH(t.customer)",
            "INSERT big SELECT s.id, s.customer, s.status, s.amount, s.note, s.version FROM #s s WHERE NOT EXISTS (SELECT 1 FROM big t WITH (UPDLOCK, SERIALIZABLE) WHERE t.id = s.id)",
            "DELETE t FROM big t JOIN #s s ON s.id = t.id WHERE s.id % 2 = 0",
            "SELECT COUNT(*), SUM(amount) FROM big WHERE version = 2",
            "SELECT COUNT(*) FROM big t WHERE NOT EXISTS (SELECT 1 FROM #s s WHERE s.id = t.id)",
            "UPDATE big SET version = 3 WHERE id = 500000",
        ] {
            let start = Instant::now();
            run(&mut c, sql).await;
            println!(
                "  {:>6.0} ms  {}",
                start.elapsed().as_secs_f64() * 1000.0,
                sql.split(" WHERE ").next().unwrap_or(sql)
            );
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        println!("  {}", status.lines().find(|l| l.starts_with("VmRSS")).unwrap());
        drop(c);
        server.shutdown();
        if let Some(path) = data {
            let start = Instant::now();
            let size = std::fs::metadata(&path).unwrap().len();
            let server = Server::start(Options { data: Some(path), ..Options::default() }).unwrap();
            println!("  replay of {} MB: {:.1} s", size >> 20, start.elapsed().as_secs_f64());
            let mut c = connect(&server).await;
            assert_eq!(one(&mut c, "SELECT COUNT(*) FROM big").await, "1000000");
        }
    }
}
