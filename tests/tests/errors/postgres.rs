//! Postgres' SQLSTATEs (appendix A of its manual), put by a proxy in the place of a real server's
//! answers.

use std::collections::BTreeMap;

use etl_core::connector::Stream;
use etl_core::{Class, Outcome};
use etl_sql::postgres::error::class_of;
use etl_tests::postgres::Database;
use etl_tests::postgres_proxy::{Place, Proxy, Refusal, Rules};
use futures::future::join_all;
use serde_json::json;
use sqlx::Row as _;

use super::{Expected, Seen, appending, carry, prepare, table, wrong};

/// What only the transaction of a batch sends.
const INSERT: &str = "INSERT INTO \"public\".\"orders\"";

fn places() -> [Place; 5] {
    let batch = || INSERT.to_owned();
    let stage = Place::Text("CREATE TEMPORARY TABLE".to_owned());
    [Place::Login, stage, Place::CopyEnd, Place::Commit(batch()), Place::Committed(batch())]
}

/// A database with a prepared target without any key.
struct Bench {
    database: Database,
    stream: Stream,
    next: i64,
    /// How often each row is to be there.
    rows: BTreeMap<i64, usize>,
}

impl Bench {
    async fn new() -> Self {
        let (database, stream) = (Database::new().await, appending("public.orders"));
        prepare("postgres", &database.section(), &stream).await;
        Self { database, stream, next: 1, rows: BTreeMap::new() }
    }

    async fn try_one(
        &mut self,
        at: &Place,
        expected: &Expected,
        fatal: bool,
        blank: Option<&str>,
    ) -> Seen {
        let refusal = Refusal { at: at.clone(), nth: 1, code: expected.code.clone(), fatal };
        let blank = blank.map(str::to_owned);
        let rules = Rules { refuse: Some(refusal), blank, ..Rules::default() };
        let proxy = Proxy::start(&self.database.url(), rules).await;
        let mut section = self.database.section();
        section["url"] = json!(proxy.url(&self.database.url()));
        let id = self.next;
        self.next += 1;
        let finished = carry("postgres", &section, &self.stream, id).await;
        let written =
            finished.report.outcome == Outcome::Success || matches!(at, Place::Committed(_));
        self.rows.insert(id, usize::from(written));
        let reached = usize::try_from(proxy.reached()).unwrap();
        let wanted = match (at, expected.class) {
            // Once more to write the ledger, unless that would lock the account.
            (Place::Login, class) if !class.is_retryable() && class != Class::Permission => 2,
            // Tried again, the checkpoint says that the batch is there before any row is sent.
            (Place::Committed(_), _) => 1,
            (_, class) => 1 + usize::from(class.is_retryable()),
        };
        Seen { finished, tries: reached, wanted }
    }

    async fn found(&self) -> BTreeMap<i64, usize> {
        let mut found: BTreeMap<i64, usize> = self.rows.keys().map(|id| (*id, 0)).collect();
        let mut connection = self.database.connect().await;
        let rows = sqlx::query("SELECT id FROM public.orders").fetch_all(&mut connection).await;
        for row in rows.unwrap() {
            *found.entry(row.get(0)).or_default() += 1;
        }
        found
    }

    async fn check_rows(&self) {
        assert_eq!(self.found().await, self.rows);
    }
}

/// Every case at every place, the places at once; what is wrong.
async fn all(cases: &[Expected], fatal: bool) -> Vec<String> {
    let found = join_all(places().map(|place| {
        let cases = cases.to_vec();
        tokio::spawn(async move {
            let mut bench = Bench::new().await;
            let mut found = Vec::new();
            for expected in &cases {
                let seen = bench.try_one(&place, expected, fatal, None).await;
                found.extend(wrong(&format!("{place:?}"), expected, &seen));
            }
            bench.check_rows().await;
            found
        })
    }));
    found.await.into_iter().flat_map(Result::unwrap).collect()
}

fn sqlstates() -> Vec<Expected> {
    table(include_str!("postgres.csv"))
}

#[test]
fn every_sqlstate_has_its_class() {
    for Expected { code, class } in sqlstates() {
        assert_eq!(class_of(&code), class, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sqlstate_is_tried_again_or_refused_at_every_place() {
    let found = all(&sqlstates(), false).await;
    assert!(found.is_empty(), "{} wrong:\n{}", found.len(), found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_server_ends_is_replaced() {
    let cases: Vec<_> = ["25P03", "25P04", "57P01", "57P02", "57P03", "57P05", "53300", "08P01"]
        .iter()
        .map(|code| Expected::of(code, class_of(code)))
        .collect();
    let found = all(&cases, true).await;
    assert!(found.is_empty(), "{} wrong:\n{}", found.len(), found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_sqlstate_in_the_wrong_class_is_found() {
    let cases = [
        Expected::of("40001", Class::Data),
        Expected::of("23505", Class::Transient),
        Expected::of("55P03", Class::Transient),
        Expected::of("42501", Class::Permission),
    ];
    let found = all(&cases, false).await;
    for (code, places) in [("40001", 5), ("23505", 5), ("55P03", 0), ("42501", 0)] {
        let told = found.iter().filter(|line| line.starts_with(&format!("{code} "))).count();
        assert_eq!(told, places, "{code}: {found:?}");
    }
}

/// How often a row is there after its commit was carried out and told an error.
async fn committed_and_failed(clause: Option<&str>) -> usize {
    let mut bench = Bench::new().await;
    let ended = Expected::of("57P01", Class::Transient);
    let seen = bench.try_one(&Place::Committed(INSERT.to_owned()), &ended, true, clause).await;
    assert_eq!(seen.finished.report.outcome, Outcome::Success, "{:?}", seen.finished.error);
    bench.found().await[&1]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_to_postgres_that_told_an_error_is_applied_once() {
    assert_eq!(committed_and_failed(None).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_commit_to_postgres_that_is_sent_again_blindly_doubles_its_rows() {
    assert_eq!(committed_and_failed(Some(" AND sequence = $3")).await, 2);
}
