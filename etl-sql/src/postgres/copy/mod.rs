//! The binary COPY format, decoded into Arrow as it arrives.
//!
//! [`Frames`] finds rows in bytes that may be cut anywhere; [`Rows`] turns them into Arrow
//! columns. Format: <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".

mod frames;
mod numeric;
mod rows;
mod text;
mod value;

pub use frames::{Frame, Frames};
pub use rows::{Fault, Rows};
pub use text::text_of;
pub use value::{cursor_micros, timestamp_micros, timestamp_text};
