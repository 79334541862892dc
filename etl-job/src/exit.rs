//! Exit codes, after BSD `sysexits.h`, and which of several wins.

use std::io::Write as _;
use std::process::ExitCode;

use etl_core::Class;

use crate::report::safe;

/// Done, or skipped because another run is at work.
pub const DONE: u8 = 0;
/// A comparison found differences.
pub const DIFFERENT: u8 = 2;
/// The command line or a setting is wrong.
pub const USAGE: u8 = Class::Config.exit_code();
/// A defect in this program.
pub const DEFECT: u8 = Class::Internal.exit_code();
/// It did not work now; it may later.
pub const TEMPORARY: u8 = Class::Transient.exit_code();

/// From least to most: the one that somebody must look at first wins.
const ORDER: [u8; 7] = [
    DONE,
    DIFFERENT,
    TEMPORARY,
    Class::Data.exit_code(),
    USAGE,
    Class::Permission.exit_code(),
    DEFECT,
];

/// The worse of two exit codes.
#[must_use]
pub fn worse(one: u8, other: u8) -> u8 {
    let rank = |code| ORDER.iter().position(|known| *known == code).unwrap_or(ORDER.len());
    if rank(one) >= rank(other) { one } else { other }
}

/// Prints what clap has to say: help and version are no errors, the rest is a wrong usage.
#[must_use]
pub fn usage(error: &clap::Error) -> ExitCode {
    // Nobody left to read it is no reason for another exit code.
    if !error.use_stderr() {
        error.print().ok();
        return ExitCode::from(DONE);
    }
    // It repeats arguments, whatever is in them.
    write!(std::io::stderr().lock(), "{}", safe(&error.render().to_string())).ok();
    ExitCode::from(USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_wins_whatever_the_order() {
        assert_eq!([0, 75, 65].into_iter().fold(DONE, worse), 65);
        assert_eq!([70, 77, 0].into_iter().fold(DONE, worse), 70);
        assert_eq!(worse(0, 2), 2);
        for class in Class::ALL {
            assert_ne!(worse(DONE, class.exit_code()), DONE, "{class}");
        }
    }
}
