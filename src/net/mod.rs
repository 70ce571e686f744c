//! The machine room's sockets: addresses, listeners, byte streams, and what an event loop owns.

pub mod address;
pub mod budget;
pub mod deadline;
pub mod dns;
pub mod event_loop;
pub mod file_cache;
pub mod listen;
pub mod open_file;
pub mod outgoing;
pub mod pipes;
pub mod proxy_protocol;
pub mod resolver;
pub mod symlinks;
pub mod tcp;
pub mod tls_session;
pub mod transport;
pub mod udp;
