//! Rows that are put aside, from the command line: shown, tried again, and what becomes of them.

mod canary; // no value of a row is told to anybody
mod keys; // keys of every kind are found again
mod kill; // replays that are killed, and beside a run
mod life; // put aside, corrected, deleted, landed: every pair
mod special; // on_special: quarantine
mod world;
