//! The map of the house.
//!
//! One package, one library, three programs. Folders are rooms; rooms stand on floors; imports point down, and inside a
//! floor only where the table says so. `compat-tests/tests/house.rs` reads this table and holds the code to it.
//!
//! | room | floor | may use | must never know |
//! |---|---|---|---|
//! | sys | 0 | - | what its callers are for |
//! | conf | 1 | - | any directive's name; the disk (only `Loader`) |
//! | log | 1 | sys | configuration |
//! | net | 2 | sys, conf, log | HTTP |
//! | zone | 2 | sys, conf, log | HTTP |
//! | tls | 2 | net, zone, conf, log | which server asks |
//! | run | 2 | sys, net, log | configuration |
//! | script | 3 | conf, log | requests |
//! | session | 3 | script, tls, zone, net, conf, log | http, stream |
//! | upstream | 3 | check, session, script, zone, net, conf, log | http, stream |
//! | bfd | 3 | - | clocks, sockets, files, threads, configuration syntax |
//! | check | 3 | - | clocks, sockets, files, threads, configuration syntax |
//! | vrrp | 3 | - | clocks, sockets, files, threads, configuration syntax |
//! | kernel | 3 | sys, net, log | VRRP |
//! | http | 4 | sys, conf, log, net, tls, zone, script, check, session, upstream | stream |
//! | stream | 4 | sys, conf, log, net, tls, zone, script, check, session, upstream | http |
//! | mail | 4 | conf, net, session, tls | http, stream |
//! | nginx | 5 | sys, conf, log, net, zone, run, script, session, upstream, http, stream, mail | keepalived |
//! | keepalived | 5 | sys, conf, log, net, run, tls, bfd, check, vrrp, kernel | http, stream, nginx |
//! | migrate | 6 | conf, log, session, nginx, keepalived | their insides |
//!
//! Floor 7 is `bin/`: ten lines a program. Only `nginx`, `keepalived` and `migrate` are public, so that the compiler
//! reports dead code in every other room; inside a room plain `pub` reads as "this room's promise".
//!
//! How a configuration becomes a server: `conf` reads text into statements, walks them against a registry of
//! `Directive` rows and merges levels; each module installs what its merged settings ask
//! for; the product (`nginx`, `keepalived`) opens what was declared and runs it.

mod bfd;
mod check;
mod conf;
mod http;
mod kernel;
mod log;
mod mail;
mod net;
mod run;
mod script;
mod session;
mod stream;
mod sys;
mod tls;
mod upstream;
mod vrrp;
mod zone;

pub mod keepalived;
pub mod migrate;
pub mod nginx;
