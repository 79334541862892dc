//! The binary COPY format, decoded into Arrow as it arrives. The way back is [`super::bulk`].
//!
//! [`Frames`] finds rows in bytes that may be cut anywhere; [`Rows`] turns them into Arrow
//! columns. Format: <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".

mod frames;
mod numeric;
mod rows;
mod text;
mod value;

pub use frames::{Frame, Frames};
pub(crate) use numeric::put_decimal;
pub use rows::{Fault, Rows};
pub use text::text_of;
pub(crate) use value::{DAY_MICROS, EPOCH_DAYS, EPOCH_MICROS};
pub use value::{cursor_micros, timestamp_micros, timestamp_text, xid8};
