//! The demo's orders: the same ones for everybody, and what happens to them.

use std::path::Path;

use chrono::{DateTime, Duration, SecondsFormat};
use etl_core::{Error, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Row, Sqlite};

/// What the demo's pipeline carries.
pub(super) const FILTER: &str = "status = 'confirmed'";

/// The key, an index on the cursor, and a cursor that the database sets: what `check` asks for.
const SCHEMA: &str = "
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer VARCHAR(60) NOT NULL,
    status VARCHAR(20) NOT NULL
        CHECK (status IN ('new', 'confirmed', 'shipped', 'cancelled', 'returned')),
    amount DECIMAL_TEXT(18,2) NOT NULL,
    note TEXT,
    updated_at TIMESTAMPTZ_TEXT NOT NULL
        DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
);
CREATE INDEX orders_updated_at ON orders (updated_at, id);
CREATE TRIGGER orders_touched AFTER UPDATE ON orders
    WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE orders SET updated_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE id = NEW.id;
END;";

/// The first order's time: 2025-01-01T08:00:00Z.
const BEGIN_SECONDS: i64 = 1_735_718_400;

/// Orders that share a time, as those of one transaction do.
const PER_MOMENT: u64 = 3;

/// The least key of the load; smaller ones are left for what comes later.
const FIRST_ID: u64 = 1000;

/// Rows per INSERT: six values each stay far below SQLite's 32,766 parameters.
const PER_INSERT: u64 = 500;

const FIRST_NAMES: [&str; 12] = [
    "Ada", "Björn", "Chidi", "Dvora", "Elif", "Fatou", "Grace", "Hiro", "Inés", "Jürgen", "Кира",
    "李娜",
];
const LAST_NAMES: [&str; 12] = [
    "Almeida", "Brandt", "Castro", "O'Neil", "Eriksson", "Fischer", "García", "Haddad", "Ito",
    "Jensen", "Kowalski", "Lovelace",
];
const NOTES: [&str; 5] =
    ["leave at the door", "call first", "gift; no invoice", "\"fragile\"", "second floor, left"];

/// One order.
struct Order {
    id: u64,
    customer: String,
    status: &'static str,
    amount: String,
    note: Option<&'static str>,
    updated_at: String,
}

impl Order {
    /// Order number `index`, always the same one.
    fn new(index: u64) -> Self {
        let dice = mixed(index);
        let pick = |shift: u32, of: u64| (dice >> shift) % of;
        let name = |names: &[&'static str], shift: u32| {
            let index = pick(shift, u64::try_from(names.len()).unwrap_or(1));
            usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or("")
        };
        let status = match pick(0, 100) {
            0..15 => "new",
            15..55 => "confirmed",
            55..85 => "shipped",
            85..95 => "cancelled",
            _ => "returned",
        };
        let cents = 100 + pick(8, 500_000);
        let note = match pick(28, 10) {
            0..2 => Some(name(&NOTES, 32)),
            2 => Some(""),
            _ => None,
        };
        Self {
            id: FIRST_ID + index,
            customer: format!("{} {}", name(&FIRST_NAMES, 36), name(&LAST_NAMES, 44)),
            status,
            amount: format!("{}.{:02}", cents / 100, cents % 100),
            note,
            updated_at: moment(index),
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014): every bit of the input touches every bit of the output.
fn mixed(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// When order `index` was last touched: every 13 s and a bit, several at the same time.
fn moment(index: u64) -> String {
    let step = i64::try_from(index / PER_MOMENT).unwrap_or(i64::MAX / 20_000_000);
    let at = DateTime::UNIX_EPOCH
        + Duration::seconds(BEGIN_SECONDS)
        + Duration::microseconds(step * 13_000_777);
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Makes the source with `rows` orders.
///
/// # Errors
/// `Config` if the file cannot be written.
pub(super) async fn create(path: &Path, rows: u64) -> Result<()> {
    let mut connection = open(path, true).await?;
    let failed = |error: sqlx::Error| Error::config("making the demo's source").with_source(error);
    sqlx::raw_sql(SCHEMA).execute(&mut connection).await.map_err(failed)?;
    let mut transaction = connection.begin().await.map_err(failed)?;
    let mut next = 0;
    while next < rows {
        let end = (next + PER_INSERT).min(rows);
        insert(&mut transaction, (next..end).map(Order::new)).await.map_err(failed)?;
        next = end;
    }
    transaction.commit().await.map_err(failed)?;
    connection.close().await.map_err(failed)
}

async fn insert(
    connection: &mut SqliteConnection,
    orders: impl Iterator<Item = Order>,
) -> sqlx::Result<()> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO orders (id, customer, status, amount, note, updated_at) ",
    );
    query.push_values(orders, |mut row, order| {
        row.push_bind(i64::try_from(order.id).unwrap_or(i64::MAX))
            .push_bind(order.customer)
            .push_bind(order.status)
            .push_bind(order.amount)
            .push_bind(order.note)
            .push_bind(order.updated_at);
    });
    query.build().execute(connection).await?;
    Ok(())
}

/// What happens after the load, each at a time of its own: new orders, other amounts, orders that
/// leave the filter and enter it, and one that arrives late, with the least key, in the very
/// second of the load's last order. Returns what was done, in words.
///
/// # Errors
/// `Config` if the file cannot be written.
pub(super) async fn change(path: &Path, rows: u64) -> Result<String> {
    let some = (rows / 1000).clamp(1, 500);
    let mut connection = open(path, false).await?;
    let failed =
        |error: sqlx::Error| Error::config("changing the demo's source").with_source(error);
    let mut transaction = connection.begin().await.map_err(failed)?;
    let late = Order { id: 1, status: "confirmed", updated_at: moment(rows - 1), ..Order::new(0) };
    let new = (0..some).map(|index| Order {
        status: "confirmed",
        updated_at: moment(rows + PER_MOMENT * (1 + index)),
        ..Order::new(rows + index)
    });
    insert(&mut transaction, new.chain([late])).await.map_err(failed)?;
    // Each takes other rows: the first, the second and the third portion of the key's order.
    let after = rows + PER_MOMENT * (some + 2);
    for (step, (set, status, skip)) in [
        ("amount = '1' || amount", "confirmed", 0),
        ("status = 'cancelled'", "confirmed", some),
        ("status = 'confirmed'", "new", 0),
    ]
    .into_iter()
    .enumerate()
    {
        let at = moment(after + PER_MOMENT * u64::try_from(step).unwrap_or(0));
        let text = format!(
            "UPDATE orders SET {set}, updated_at = ?1 WHERE id IN (SELECT id FROM orders WHERE \
             status = ?2 AND id >= {FIRST_ID} ORDER BY id LIMIT {some} OFFSET {skip})"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(at).bind(status);
        query.execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    Ok(format!(
        "{some} new, {some} with another amount, {some} confirmed -> cancelled, {some} new -> \
         confirmed, 1 late with the least key in the second of the last"
    ))
}

/// All orders of a source.
///
/// # Errors
/// `Config` if the file cannot be read.
pub(super) async fn count(path: &Path) -> Result<u64> {
    let mut connection = open(path, false).await?;
    let failed =
        |error: sqlx::Error| Error::config("counting the demo's orders").with_source(error);
    let row = sqlx::query("SELECT count(*) FROM orders").fetch_one(&mut connection).await;
    let count: i64 = row.and_then(|row| row.try_get(0)).map_err(failed)?;
    connection.close().await.map_err(failed)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// A connection to one of the demo's files.
///
/// # Errors
/// `Config` if it cannot be opened.
pub(super) async fn open(path: &Path, create: bool) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(create);
    options.connect().await.map_err(|error| {
        Error::config(format!("opening the demo's {}", path.display())).with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn orders_are_always_the_same_and_of_all_states() {
        let states: BTreeSet<_> = (0..200).map(|index| Order::new(index).status).collect();
        assert_eq!(states.len(), 5);
        let order = Order::new(7);
        assert_eq!((order.id, order.amount.clone()), (1007, Order::new(7).amount));
        assert_eq!(moment(0), "2025-01-01T08:00:00.000000Z");
        assert_eq!(moment(3), "2025-01-01T08:00:13.000777Z");
    }

    #[tokio::test]
    async fn the_changes_are_those_that_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("source.db");
        create(&path, 2000).await.unwrap();
        assert_eq!(count(&path).await.unwrap(), 2000);
        change(&path, 2000).await.unwrap();
        assert_eq!(count(&path).await.unwrap(), 2003);
        let mut connection = open(&path, false).await.unwrap();
        let late: (i64, String) = sqlx::query_as("SELECT min(id), updated_at FROM orders")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(late, (1, moment(1999)));
        let touched: (i64,) = sqlx::query_as("SELECT count(*) FROM orders WHERE updated_at >= ?1")
            .bind(moment(2000 + PER_MOMENT))
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(touched.0, 8);
    }
}
