//! One test binary: every file beside this one is a module of it.

mod article;
mod bodies;
mod bytes;
mod complaints;
mod corpus;
mod crowds;
mod diagnostics;
mod dump;
mod exchanges;
mod house;
mod keepalived_corpus;
mod large;
mod lint;
mod manual;
mod migrate;
mod network;
mod peer;
mod probe;
mod processes;
mod reload;
mod signals;
mod unserved;
mod upgrade;
mod verdicts;
mod vrrp;
mod waking;
