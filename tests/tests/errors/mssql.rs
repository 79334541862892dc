//! SQL Server's numbers, raised by the double. `mssql.csv` was made from Microsoft's own files:
//! EF Core's `SqlServerTransientExceptionDetector` (dotnet/efcore, commit ecd0ba4) and SqlClient's
//! `SqlConfigurableRetryFactory` and `SqlConnectionInternal` (dotnet/SqlClient, commit c16adb7).

use std::collections::BTreeMap;

use etl_core::connector::Stream;
use etl_core::pipeline::Finished;
use etl_core::{Class, Error, Outcome};
use etl_sql::mssql::error::class_of;
use etl_sql::mssql::{Connection, MssqlConfig, Tls};
use etl_tests::tds::{Action, Encryption, Fault, Handle, Options, Point, Raised, Server};
use etl_tests::wire::{Protocol, Proxy, Rewrite, Rules};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{Expected, Seen, TRIES, appending, carry, prepare, table, wrong};

/// Where an error comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the first login of a run.
    Login,
    /// At a statement outside a transaction.
    Batch,
    /// After all rows of a bulk load.
    Bulk,
    /// At the COMMIT of a batch, which is rolled back.
    Commit,
    /// Right after that COMMIT: the rows are there.
    Committed,
}

const PLACES: [Place; 5] =
    [Place::Login, Place::Batch, Place::Bulk, Place::Commit, Place::Committed];

impl Place {
    fn fault(self, errors: Vec<Raised>) -> Fault {
        let action = Action::Errors(errors);
        match self {
            Self::Login => Fault::new(Point::Login, action),
            Self::Batch => Fault::new(Point::Statement(STAGE.to_owned()), action),
            Self::Bulk => Fault::new(Point::BulkEnd, action),
            // The claim commits first.
            Self::Commit => Fault::new(Point::Commit, action).nth(2),
            Self::Committed => Fault::new(Point::Committed, action).nth(2),
        }
    }

    /// What a request of this place holds.
    fn mark(self) -> &'static str {
        match self {
            Self::Login => "SET LOCK_TIMEOUT",
            Self::Batch => STAGE,
            Self::Bulk => "INSERT BULK",
            Self::Commit | Self::Committed => "THROW 51001",
        }
    }
}

const STAGE: &str = "CREATE TABLE [#stage]";

fn raised(code: &str, class: u8) -> Raised {
    Raised { number: code.parse().unwrap(), class }
}

/// A server of its own with a prepared target without any key.
struct Bench {
    server: Handle,
    section: Value,
    stream: Stream,
    next: i64,
    /// How often each row is to be there.
    rows: BTreeMap<i64, usize>,
}

impl Bench {
    async fn new() -> Self {
        let options = Options { encryption: Encryption::NotSupported, ..Options::default() };
        let server = Server::start(options).unwrap();
        let section = json!({ "type": "mssql", "url": server.url(), "tls": "disable" });
        let stream = appending("dbo.orders");
        prepare("mssql", &section, &stream).await;
        Self { server, section, stream, next: 1, rows: BTreeMap::new() }
    }

    /// A run in which these errors come, as one answer, at a place.
    async fn meet(&mut self, place: Place, errors: Vec<Raised>) -> (Finished, usize) {
        self.server.clear_statements();
        let before = self.server.counters();
        self.server.fault(place.fault(errors));
        let id = self.next;
        self.next += 1;
        let finished = carry("mssql", &self.section, &self.stream, id).await;
        let after = self.server.counters();
        assert_eq!(after.faults - before.faults, 1, "{place:?}: no fault struck");
        let done = self.server.statements().iter().filter(|s| s.contains(place.mark())).count();
        // A refused login sends no statement.
        let tries = done + usize::from(place == Place::Login);
        let written = finished.report.outcome == Outcome::Success || place == Place::Committed;
        self.rows.insert(id, usize::from(written));
        (finished, tries)
    }

    async fn try_one(&mut self, place: Place, expected: &Expected, severity: u8) -> Seen {
        let (finished, tries) = self.meet(place, vec![raised(&expected.code, severity)]).await;
        let wanted = match (place, expected.class) {
            // A run logs in to open the target, and to claim the pipeline.
            (Place::Login, class) if class.is_retryable() => 3,
            // Once more to write the ledger, unless that would lock the account.
            (Place::Login, class) if class != Class::Permission => 2,
            // The pipeline is claimed anew, which finds that the batch is there.
            (Place::Committed, Class::Capacity) => 1,
            (_, class) if class.is_retryable() => 2,
            _ => 1,
        };
        Seen { finished, tries, wanted }
    }

    /// How often each row is there.
    async fn found(&self) -> BTreeMap<i64, usize> {
        let config = MssqlConfig::from_url(&self.server.url().into()).unwrap();
        let config = MssqlConfig { tls: Tls::Disable, ..config };
        let mut connection = Connection::open(&config).await.unwrap();
        let sql = "SELECT [id] FROM [dbo].[orders];";
        let mut found: BTreeMap<i64, usize> = self.rows.keys().map(|id| (*id, 0)).collect();
        for row in connection.batch(sql, "a test's query").await.unwrap() {
            *found.entry(row.get(0).unwrap()).or_default() += 1;
        }
        found
    }

    async fn check_rows(&self) {
        assert_eq!(self.found().await, self.rows);
    }
}

/// Every case at every place, the places at once; what is wrong.
async fn all(cases: &[Expected]) -> Vec<String> {
    let found = join_all(PLACES.map(|place| {
        let cases = cases.to_vec();
        tokio::spawn(async move {
            let mut bench = Bench::new().await;
            let mut found = Vec::new();
            for expected in &cases {
                let seen = bench.try_one(place, expected, 16).await;
                found.extend(wrong(&format!("{place:?}"), expected, &seen));
            }
            bench.check_rows().await;
            found
        })
    }));
    found.await.into_iter().flat_map(Result::unwrap).collect()
}

fn numbers() -> Vec<Expected> {
    table(include_str!("mssql.csv"))
}

#[test]
fn every_number_has_its_class() {
    let numbers = numbers();
    let of_microsoft = include_str!("mssql.csv").lines().filter(|line| !line.ends_with("ours"));
    assert_eq!(of_microsoft.count() - 1, 178, "Microsoft's lists together");
    let lasting = numbers.iter().filter(|number| !number.is_retried()).count();
    assert!(lasting >= 40 && numbers.len() >= 178 + 20 + lasting, "{lasting} of {}", numbers.len());
    for Expected { code, class } in numbers {
        assert_eq!(class_of(code.parse().unwrap(), 16), class, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_is_tried_again_or_refused_at_every_place() {
    // 51001 at a commit asks who moved the checkpoint; the contract suites have that.
    let cases: Vec<_> = numbers().into_iter().filter(|e| e.class != Class::Fenced).collect();
    let found = all(&cases).await;
    assert!(found.is_empty(), "{} wrong:\n{}", found.len(), found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_number_in_the_wrong_class_is_found() {
    let cases = [
        Expected::of("1205", Class::Data),
        Expected::of("2627", Class::Transient),
        Expected::of("18456", Class::Config),
        Expected::of("1222", Class::Transient),
        Expected::of("208", Class::Schema),
    ];
    let found = all(&cases).await;
    for (code, places) in [("1205", 5), ("2627", 5), ("18456", 5), ("1222", 0), ("208", 0)] {
        let told = found.iter().filter(|line| line.starts_with(&format!("{code} "))).count();
        assert_eq!(told, places, "{code}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_errors_the_first_decides_and_messages_do_not_count() {
    let mut bench = Bench::new().await;
    for (place, errors, class, tries) in [
        // As a server says that it cannot open a database.
        (Place::Login, vec![("4060", 11), ("18456", 14)], None, 3),
        (Place::Login, vec![("18456", 14), ("4060", 11)], Some(Class::Permission), 1),
        (Place::Batch, vec![("2627", 14), ("1205", 13)], Some(Class::Data), 1),
        (Place::Batch, vec![("1205", 13), ("2627", 14)], None, 2),
        (Place::Commit, vec![("547", 16), ("596", 21)], Some(Class::Data), 1),
        (Place::Committed, vec![("596", 21), ("547", 16)], None, 2),
        (Place::Batch, vec![("5701", 0), ("3621", 10)], None, 1),
        (Place::Commit, vec![("3621", 0), ("1222", 16), ("3621", 0)], None, 2),
        (Place::Bulk, vec![("3621", 10), ("4863", 16)], Some(Class::Data), 1),
    ] {
        let list = errors.iter().map(|(code, severity)| raised(code, *severity)).collect();
        let (finished, tried) = bench.meet(place, list).await;
        let found = finished.error.as_ref().map(Error::class);
        assert_eq!((found, tried), (class, tries), "{place:?} {errors:?}: {:?}", finished.error);
    }
    bench.check_rows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_severity_of_20_or_more_means_a_new_connection_whatever_the_number() {
    let mut bench = Bench::new().await;
    // 5242 and 9100 are on no list.
    for code in ["5242", "9100"] {
        for place in PLACES {
            let fatal = Expected::of(code, Class::Transient);
            for severity in [20, 21, 24] {
                let seen = bench.try_one(place, &fatal, severity).await;
                assert_eq!(wrong(&format!("{place:?}"), &fatal, &seen), None);
            }
            let mild = Expected::of(code, Class::Internal);
            let seen = bench.try_one(place, &mild, 16).await;
            assert_eq!(wrong(&format!("{place:?}"), &mild, &seen), None);
            let short = Expected::of(code, Class::Capacity);
            let seen = bench.try_one(place, &short, 17).await;
            assert_eq!(wrong(&format!("{place:?}"), &short, &seen), None);
        }
    }
    bench.check_rows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_pass_ends_the_run_for_now() {
    let mut bench = Bench::new().await;
    for place in [Place::Batch, Place::Bulk] {
        bench.server.clear_statements();
        bench.server.fault(place.fault(vec![raised("1205", 13)]).always());
        let finished = carry("mssql", &bench.section, &bench.stream, bench.next).await;
        bench.server.clear_faults();
        assert_eq!(finished.exit_code(), 75, "{:?}", finished.error);
        let tried = bench.server.statements().iter().filter(|s| s.contains(place.mark())).count();
        assert_eq!(tried, TRIES as usize, "{place:?}");
        bench.rows.insert(bench.next, 0);
    }
    bench.check_rows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_never_open_is_a_setting_if_that_lasts() {
    let bench = Bench::new().await;
    let mut section = bench.section.clone();
    section["url"] = json!(bench.server.url().replace("/test", "/tset"));
    bench.server.fault(Place::Login.fault(vec![raised("4060", 11), raised("18456", 14)]).always());
    let finished = carry("mssql", &section, &bench.stream, 1).await;
    let error = finished.error.as_ref().unwrap();
    assert_eq!((finished.exit_code(), error.code()), (64, Some("4060")), "{error:?}");
    assert!(error.to_string().contains("tried 3 times"), "{error}");
    assert!(error.to_string().contains("run mssql-init"), "{error}");
    // The other let us in a moment ago.
    let finished = carry("mssql", &bench.section, &bench.stream, 1).await;
    assert_eq!(finished.exit_code(), 75, "{:?}", finished.error);
    assert!(finished.error.unwrap().to_string().contains(&format!("tried {TRIES} times")));
}

/// A commit that is carried out and then fails, sent through a proxy that takes this clause out;
/// how often its row is there.
async fn committed_and_failed(clause: Option<&str>) -> usize {
    let mut bench = Bench::new().await;
    let rewrites = clause.map(Rewrite::without).into_iter().collect();
    let rules = Rules { rewrites, ..Rules::default() };
    let address = bench.server.addr.to_string();
    let proxy = Proxy::start(Protocol::Tds, &address, rules).await;
    let url = bench.server.url().replace(&address, &format!("127.0.0.1:{}", proxy.port()));
    bench.section["url"] = json!(url);
    let (finished, tries) = bench.meet(Place::Committed, vec![raised("596", 21)]).await;
    assert_eq!((finished.report.outcome, tries), (Outcome::Success, 2), "{:?}", finished.error);
    bench.found().await[&1]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_told_an_error_is_applied_once() {
    assert_eq!(committed_and_failed(None).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_commit_that_is_sent_again_blindly_doubles_its_rows() {
    assert_eq!(committed_and_failed(Some(" AND [sequence] = @sequence")).await, 2);
}
