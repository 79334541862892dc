//! Those who write to the source: short transactions, long ones, some undone, some prepared.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::Result;
use crate::testing::memory_table::MemoryTransaction;
use crate::testing::row::Row;
use crate::testing::source_contract::Change;

use super::World;

/// The first rows, in one transaction: all of them have one cursor value.
pub(super) fn fill(world: &World) -> Result<()> {
    let row = |id| Change::Insert(Row::new(id).amount(i128::from(id)));
    let rows: Vec<_> = (1..=world.plan.keys / 2).map(row).collect();
    world.table.write(&rows)
}

/// One writer's life. Each row version has an amount that no other version has.
pub(super) async fn write(world: Arc<World>, number: u64) {
    let mut random = fastrand::Rng::with_seed(world.plan.seed.wrapping_mul(8) + number);
    let end = Instant::now() + world.plan.life;
    let mut version = 1_000_000 * i128::from(number + 1);
    while Instant::now() < end {
        sleep(upto(&mut random, 4_000)).await;
        let shown_after = upto(&mut random, 900);
        let mut transaction = world.table.begin(shown_after);
        for _ in 0..random.u8(1..=4) {
            version += 1;
            let row = some_row(&mut random, world.plan.keys, version);
            write_row(&world, &mut transaction, row, &mut random).await;
            sleep(upto(&mut random, 300)).await;
        }
        let hold = match random.u8(0..10) {
            0 => 30_000,
            1 | 2 => 6_000,
            _ => 800,
        };
        sleep(upto(&mut random, hold)).await;
        if random.u8(0..12) == 0 {
            transaction.prepare();
            sleep(upto(&mut random, 15_000)).await;
        }
        if random.u8(0..8) == 0 {
            transaction.rollback();
        } else {
            transaction.commit();
            world.tally.count(|stats| stats.transactions += 1);
        }
    }
}

fn some_row(random: &mut fastrand::Rng, keys: i64, version: i128) -> Row {
    let names = [None, Some(""), Some("a"), Some("A"), Some("a ")];
    let states = ["confirmed", "confirmed", "cancelled", "new"];
    Row::new(random.i64(1..=keys))
        .name(random.choice(names).flatten())
        .status(random.choice(states).unwrap_or("new"))
        .amount(version)
}

/// Waits for the row's lock as a session would, and gives up as with a lock timeout.
async fn write_row(
    world: &World,
    transaction: &mut MemoryTransaction,
    row: Row,
    random: &mut fastrand::Rng,
) {
    let change = match random.u8(0..5) {
        0 if world.plan.deletes() => Change::Delete(row.id),
        _ => Change::Update(row),
    };
    for _ in 0..20 {
        if transaction.write(&change).is_ok() {
            return;
        }
        sleep(upto(random, 1_000)).await;
    }
}

pub(super) fn upto(random: &mut fastrand::Rng, millis: u64) -> Duration {
    Duration::from_millis(random.u64(0..=millis))
}
