//! The wire: packets, login, tokens, types.

pub(crate) mod connection;
mod login;
mod packet;
mod prelogin;
pub(crate) mod reader;
pub(crate) mod request;
mod stream;
pub(crate) mod tls;
pub(crate) mod tokens;
pub(crate) mod wire;
