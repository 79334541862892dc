//! Those who start, stop, kill and pause runs, and change checkpoints.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::connector::Mode;
use crate::pipeline::Finished;
use crate::sink::StateChange;
use crate::testing::network::Conditions;

use super::pause::{Pausable, Switch};
use super::writers::upto;
use super::{World, internal};

/// A run in a process of its own.
struct Process {
    run: JoinHandle<Finished>,
    switch: Switch,
    stop: CancellationToken,
}

/// As much as a scheduler that forbids overlap would ever let happen, and one more.
const MOST_RUNS: usize = 3;

pub(super) async fn operate(world: &Arc<World>) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(!world.plan.seed);
    let mut processes: Vec<Process> = Vec::new();
    let end = Instant::now() + world.plan.life;
    while Instant::now() < end {
        sleep(upto(&mut random, 3_000)).await;
        collect(world, &mut processes).await?;
        let some = (!processes.is_empty()).then(|| random.usize(0..processes.len()));
        match (random.u8(0..20), some) {
            (0..=2, Some(some)) => kill(world, processes.swap_remove(some)).await?,
            (3..=5, Some(some)) => pause(world, &processes[some], &mut random),
            (6, Some(some)) => processes[some].stop.cancel(),
            (7, _) => change(world, &mut random).await?,
            (8, _) if !world.plan.is_quiet() => outage(world, &mut random).await,
            _ if processes.len() < MOST_RUNS => processes.push(start(world, &mut random)?),
            _ => {}
        }
        world.watch()?;
    }
    for process in processes {
        process.switch.resume();
        let ended = timeout(std::time::Duration::from_mins(10), process.run).await;
        let ended = ended.map_err(|_| "a run never ended")?;
        world.ended(&ended.map_err(|error| error.to_string())?)?;
    }
    Ok(())
}

fn start(world: &Arc<World>, random: &mut fastrand::Rng) -> Result<Process, String> {
    let mut pipeline = world.pipeline(random).map_err(internal)?;
    let (switch, stop) = (Switch::default(), CancellationToken::new());
    let token = stop.clone();
    // Some try again what was put aside; where all is read every time there is nothing to do so.
    let plan = &world.plan;
    let replays = plan.poison.is_some() && plan.mode != Mode::Replace && random.u8(0..4) == 0;
    let run = async move {
        if replays { pipeline.replay(&token).await } else { pipeline.run(&token).await }
    };
    let run = tokio::spawn(Pausable::new(run, &switch));
    world.tally.count(|stats| stats.runs += 1);
    Ok(Process { run, switch, stop })
}

/// Takes note of the runs that have ended.
async fn collect(world: &Arc<World>, processes: &mut Vec<Process>) -> Result<(), String> {
    let (ended, alive) = std::mem::take(processes).into_iter().partition(|p| p.run.is_finished());
    *processes = alive;
    let ended: Vec<Process> = ended;
    for process in ended {
        world.ended(&process.run.await.map_err(|error| error.to_string())?)?;
    }
    Ok(())
}

/// Nothing of the run happens any more; what it sent is on its way.
async fn kill(world: &Arc<World>, process: Process) -> Result<(), String> {
    process.run.abort();
    match process.run.await {
        Ok(finished) => world.ended(&finished),
        Err(error) if error.is_cancelled() => {
            world.tally.count(|stats| stats.killed += 1);
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The run stands still, long enough for another one to take over, and goes on.
fn pause(world: &Arc<World>, process: &Process, random: &mut fastrand::Rng) {
    process.switch.pause();
    world.tally.count(|stats| stats.paused += 1);
    let (switch, time) = (process.switch.clone(), upto(random, 25_000));
    tokio::spawn(async move {
        sleep(time).await;
        switch.resume();
    });
}

/// An operator changes the checkpoint. Appended rows that are read anew come twice, as they
/// should, so there the position stays.
async fn change(world: &Arc<World>, random: &mut fastrand::Rng) -> Result<(), String> {
    let Some(found) = world.target.checkpoint().map_err(internal)? else { return Ok(()) };
    let change = match (world.plan.mode, random.bool(), found.definition) {
        (Mode::Upsert | Mode::Replace, true, _) => StateChange::Position(None),
        (Mode::Upsert | Mode::Replace, false, _) => StateChange::Position(found.position),
        (Mode::Append, _, Some(definition)) => StateChange::Definition(definition),
        (Mode::Append, _, None) => return Ok(()),
    };
    world.target.change(change).await.map_err(internal)?;
    world.tally.count(|stats| stats.changes += 1);
    Ok(())
}

/// For a few seconds no message arrives.
async fn outage(world: &Arc<World>, random: &mut fastrand::Rng) {
    let nothing = Conditions { request_lost: 1.0, ..world.plan.network };
    world.target.network().change(nothing);
    sleep(upto(random, 6_000)).await;
    world.target.network().change(world.plan.network);
}
