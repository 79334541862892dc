//! Inputs from seeds, one after the other, under limits.

use std::alloc::System;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What is allocated is counted for the whole process, so one attack goes on at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// An input takes microseconds, or a few network round trips on this machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What any input may make us allocate, freed or not, beside [`BYTES_PER_BYTE`].
const BYTES: usize = 16 << 20;
/// A short pipeline file is read by several parsers, each with a tree of its own.
const BYTES_PER_BYTE: usize = 2_000;

/// As small as the stack of the runtime's threads.
const STACK: usize = 2 << 20;
/// A stack that overflows ends the process and tells the thread's name: the seeds.
const SEEDS_PER_THREAD: u64 = 1_000;

/// Where code of this workspace panics from now on, the last time it did. The engine catches panics of
/// what it carries, so that those of our own would hide behind the driver's.
pub(crate) fn watch_for_our_panics() -> Arc<Mutex<Option<String>>> {
    let ours = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&ours);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map(|at| (at.file().to_owned(), at.line()));
        if let Some((file, line)) = place.filter(|(file, _)| file.starts_with("etl-")) {
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{file}:{line}"));
        }
        before(info);
    }));
    ours
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect(variable))
}

/// Makes an input.
pub(crate) type Make = dyn Fn(&mut Rng) -> Vec<u8> + Send + Sync;
/// Takes one.
pub(crate) type Target = dyn Fn(&[u8]) + Send + Sync;

/// Panics with the seed of the first input that does harm; see [`attack`].
pub(crate) fn survives(
    name: &str,
    inputs: u64,
    make: impl Fn(&mut Rng) -> Vec<u8> + Send + Sync + 'static,
    target: impl Fn(&[u8]) + Send + Sync + 'static,
) {
    let first = number("ETL_HOSTILE_SEED").unwrap_or(1);
    let inputs = number("ETL_HOSTILE_INPUTS").unwrap_or(inputs);
    eprintln!("{name}: seeds {first} to {}", first + inputs - 1);
    if let Err(harm) = attack(name, first..first + inputs, PATIENCE, make, target) {
        panic!("{harm}");
    }
}

/// Gives inputs to `target`, each made from a seed of its own. `Err` tells of the first that makes
/// it panic, takes memory out of proportion, or does not come back within `patience`.
pub(crate) fn attack(
    name: &str,
    seeds: Range<u64>,
    patience: Duration,
    make: impl Fn(&mut Rng) -> Vec<u8> + Send + Sync + 'static,
    target: impl Fn(&[u8]) + Send + Sync + 'static,
) -> Result<(), String> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (make, target): (Arc<Make>, Arc<Target>) = (Arc::new(make), Arc::new(target));
    let mut from = seeds.start;
    while from < seeds.end {
        let part = from..seeds.end.min(from + SEEDS_PER_THREAD);
        from = part.end;
        on_a_thread(name, part, patience, Arc::clone(&make), Arc::clone(&target)).map_err(
            |(seed, harm)| {
                format!(
                    "{name}: {harm}\nrepeat: ETL_HOSTILE_SEED={seed} ETL_HOSTILE_INPUTS=1 cargo \
                     test --workspace --test hostile {name}"
                )
            },
        )?;
    }
    drop(alone);
    Ok(())
}

fn one(input: &[u8], target: &Target) -> Result<(), String> {
    let region = Region::new(ALLOCATOR);
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    let allocated = region.change().bytes_allocated;
    if let Err(panic) = outcome {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        return Err(format!("panicked: {}", text.unwrap_or("(no text)")));
    }
    if allocated > BYTES + BYTES_PER_BYTE * input.len() {
        return Err(format!("{allocated} bytes were allocated for an input of {}", input.len()));
    }
    Ok(())
}

/// Runs some seeds on a thread with a small stack, which is left behind if it hangs. An error comes
/// with the seed at work.
fn on_a_thread(
    name: &str,
    seeds: Range<u64>,
    patience: Duration,
    make: Arc<Make>,
    target: Arc<Target>,
) -> Result<(), (u64, String)> {
    let at = Arc::new(AtomicU64::new(seeds.start));
    let (sender, receiver) = channel();
    let working = Arc::clone(&at);
    let thread = thread::Builder::new().name(format!("{name} {}", seeds.start)).stack_size(STACK);
    let work = move || {
        let outcome = seeds.into_iter().try_for_each(|seed| {
            working.store(seed, Ordering::Relaxed);
            one(&make(&mut Rng::with_seed(seed)), &*target)
        });
        drop(sender.send(outcome));
    };
    drop(thread.spawn(work).unwrap());
    let mut before = None;
    loop {
        let outcome = receiver.recv_timeout(patience);
        let now = at.load(Ordering::Relaxed);
        match outcome {
            Ok(outcome) => return outcome.map_err(|harm| (now, harm)),
            Err(RecvTimeoutError::Disconnected) => return Err((now, "no input was made".into())),
            Err(RecvTimeoutError::Timeout) if before == Some(now) => {
                return Err((now, format!("still at work after {patience:?}")));
            }
            Err(RecvTimeoutError::Timeout) => before = Some(now),
        }
    }
}
