//! The integration tests, by what they prove.

/// The server double itself: protocol, T-SQL, bulk loads, locks, permissions, faults.
mod double;
