use std::time::Duration;

use tokio::time::Instant;

use super::{Fault, Faults, FaultySink, Gate, Method, When};
use crate::connector::Mode;
use crate::error::{Class, Result};
use crate::sink::{Claim, Run, Sink};
use crate::testing::memory_sink::MemorySink;
use crate::testing::memory_target::MemoryTarget;
use crate::testing::network::{Conditions, Network};
use crate::testing::row::Row;

fn sink(faults: &Faults) -> (MemoryTarget, FaultySink) {
    let network = Network::new(Conditions::default(), 0);
    let target = MemoryTarget::new(Mode::Upsert, network);
    target.prepare(&Row::stream("a/b"));
    let sink = FaultySink::new(Box::new(MemorySink::new(&target)), faults);
    (target, sink)
}

async fn claim(sink: &mut FaultySink) -> Result<Claim> {
    let run = Run { id: uuid::Uuid::nil(), ttl: Duration::from_secs(1), waited: false };
    sink.claim(&run).await
}

fn sequence(target: &MemoryTarget) -> i64 {
    target.checkpoint().unwrap().unwrap().sequence
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_did_not_run_and_a_lost_answer_did() {
    let faults = Faults::new(0)
        .with(Method::Claim, When::Call(1), Fault::Refuse(Class::Permission))
        .with(Method::Claim, When::Call(2), Fault::LoseAnswer);
    let (target, mut sink) = sink(&faults);
    assert_eq!(claim(&mut sink).await.unwrap_err().class(), Class::Permission);
    assert_eq!(sequence(&target), 0);
    assert_eq!(claim(&mut sink).await.unwrap_err().class(), Class::Unknown);
    assert_eq!(sequence(&target), 1);
    assert!(matches!(claim(&mut sink).await.unwrap(), Claim::Claimed(_)));
    assert_eq!(faults.calls(Method::Claim), 3);
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_takes_its_time_and_a_held_one_waits_for_the_gate() {
    let gate = Gate::new();
    let faults = Faults::new(0)
        .with(Method::Claim, When::Call(1), Fault::Slow(Duration::from_secs(7)))
        .with(Method::Claim, When::Call(2), Fault::Hold(gate.clone()));
    let (target, mut sink) = sink(&faults);
    let began = Instant::now();
    claim(&mut sink).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(7));
    let held = tokio::spawn(async move { claim(&mut sink).await.map(drop) });
    gate.reached().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(sequence(&target), 1);
    gate.open();
    held.await.unwrap().unwrap();
    assert_eq!(sequence(&target), 2);
}

#[tokio::test(start_paused = true)]
async fn a_chance_is_the_same_for_the_same_seed() {
    let mut runs = Vec::new();
    for seed in [3, 3, 4] {
        let chance = When::Chance(0.5);
        let faults = Faults::new(seed).with(Method::Claim, chance, Fault::Refuse(Class::Transient));
        let (_, mut sink) = sink(&faults);
        let mut answers = Vec::new();
        for _ in 0..32 {
            answers.push(claim(&mut sink).await.is_ok());
        }
        runs.push(answers);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    assert!(runs[0].contains(&true) && runs[0].contains(&false));
}
