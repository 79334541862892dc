//! Running one statement atomically: waiting for locks, undoing what failed.

use std::time::{Duration, Instant};

use super::{CANCELLED, Session};
use crate::tds::engine::state::{Engine, State};
use crate::tds::error::{Reach, Result, SqlError};
use crate::tds::exec::Ctx;

/// How long a statement waits for a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// As SET LOCK_TIMEOUT says.
    Session,
    /// For ever.
    Endless,
    For(Duration),
}

pub(crate) struct Ran<T> {
    pub(crate) value: T,
    pub(crate) waited: bool,
}

pub(crate) fn lock_timeout() -> SqlError {
    SqlError::new(1222, 16, "Lock request time out period exceeded.").state(51)
}

fn deadlock(session: i32) -> SqlError {
    SqlError::new(
        1205,
        13,
        format!("Transaction (Process ID {session}) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction."),
    )
    .state(51)
    .reach(Reach::Transaction)
}

/// Runs `f` until it needs no lock that another session holds.
///
/// Outside a transaction the statement is one of its own. An attempt that failed or must wait is
/// undone first, so `f` may run many times.
pub(crate) fn run<T>(
    engine: &Engine,
    sess: &mut Session,
    patience: Patience,
    mut f: impl FnMut(&mut Ctx<'_>) -> Result<T>,
) -> Result<Ran<T>> {
    let mut state = engine.lock();
    let alone = sess.trancount == 0;
    let mut deadline = None;
    let mut waited = false;
    loop {
        if alone {
            state.begin(sess.id);
        }
        let mark = state.mark(sess.id);
        let vars = sess.vars.clone();
        let mut result = {
            let mut ctx = Ctx::new(&mut state, sess);
            f(&mut ctx)
        };
        if result.is_ok() && sess.doomed && state.mark(sess.id) > mark {
            result = Err(SqlError::new(
                3930,
                16,
                "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the transaction.",
            ));
        }
        let error = match result {
            Ok(value) => {
                if alone {
                    state.commit(sess.id)?;
                    engine.changed.notify_all();
                }
                return Ok(Ran { value, waited });
            }
            Err(e) => e,
        };
        let holder = state.take_wait(&error);
        state.rollback_to(sess.id, mark);
        sess.vars = vars;
        if alone {
            state.rollback(sess.id);
        }
        // Nobody has seen what was undone, so nobody waits for it.
        let Some(holder) = holder else { return Err(error) };
        waited = true;
        let limit = *deadline.get_or_insert_with(|| limit_of(patience, sess));
        state = wait(engine, state, sess, holder, limit)?;
    }
}

fn limit_of(patience: Patience, sess: &Session) -> Option<Instant> {
    let timeout = match patience {
        Patience::Endless => return None,
        Patience::For(d) => d,
        Patience::Session => Duration::from_millis(u64::try_from(sess.options.lock_timeout).ok()?),
    };
    Some(Instant::now() + timeout)
}

fn wait<'e>(
    engine: &'e Engine,
    mut state: std::sync::MutexGuard<'e, State>,
    sess: &Session,
    holder: i32,
    limit: Option<Instant>,
) -> Result<std::sync::MutexGuard<'e, State>> {
    if let Some(cycle) = state.locks.cycle(sess.id, holder) {
        let priority = |s: &i32| state.sessions.get(s).map_or(0, |i| i.deadlock_priority);
        let lowest = cycle.iter().map(priority).min().unwrap_or(0);
        if priority(&sess.id) == lowest {
            return Err(deadlock(sess.id));
        }
        let victim = cycle.iter().copied().find(|s| priority(s) == lowest);
        state.locks.victims.extend(victim);
        engine.changed.notify_all();
    }
    if limit.is_some_and(|l| Instant::now() >= l) {
        return Err(lock_timeout());
    }
    state.locks.waits.insert(sess.id, holder);
    let generation = state.locks.generation(holder);
    let retry = Instant::now() + Duration::from_secs(1);
    let stop = limit.map_or(retry, |l| l.min(retry));
    // Running the statement again before the holder has let go of something would be in vain.
    while state.locks.generation(holder) == generation
        && !state.locks.victims.contains(&sess.id)
        && !sess.cancelled()
        && Instant::now() < stop
    {
        let pause = stop.saturating_duration_since(Instant::now());
        (state, _) = engine
            .changed
            .wait_timeout(state, pause)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
    }
    state.locks.waits.remove(&sess.id);
    if state.locks.victims.contains(&sess.id) {
        state.locks.victims.retain(|s| *s != sess.id);
        return Err(deadlock(sess.id));
    }
    if sess.cancelled() {
        return Err(SqlError::new(CANCELLED, 0, "cancelled").reach(Reach::Batch));
    }
    Ok(state)
}
