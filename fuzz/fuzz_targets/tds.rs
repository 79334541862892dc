#![no_main]

use std::sync::LazyLock;

#[allow(dead_code)]
#[path = "../../tests/hostile/mutate.rs"]
mod mutate;
#[allow(dead_code)]
#[path = "../../tests/hostile/recording.rs"]
mod recording;
#[allow(dead_code)]
#[path = "../../tests/hostile/tds.rs"]
mod tds;

static RECORDED: LazyLock<tds::Recorded> = LazyLock::new(tds::Recorded::new);

libfuzzer_sys::fuzz_target!(|input: &[u8]| RECORDED.answered(input));
