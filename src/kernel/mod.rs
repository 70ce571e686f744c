//! What we ask the kernel to hold and to tell: links, addresses, routes, rules, raw and link-layer sockets. Synchronous throughout.
//!
//! Nothing the kernel answers can make this room panic: messages are read field by field, and what is too short or
//! unknown is skipped.

pub mod address;
pub mod advertisement;
pub mod arp;
pub mod connector;
pub mod encap;
pub mod ipvs;
pub mod link;
mod message;
pub mod monitor;
pub mod netlink;
pub mod nftables;
pub mod packet;
pub mod route;
pub mod rule;
pub mod udp;
