//! One test binary: every file beside this one is a module of it.

mod article;
mod bodies;
mod bytes;
mod commands;
mod complaints;
mod corpus;
mod diagnostics;
mod dump;
mod house;
mod keepalived_corpus;
mod large;
mod lint;
mod manual;
mod migrate;
mod network;
mod peer;
mod probe;
mod reload;
mod signals;
mod upgrade;
mod verdicts;
mod vrrp;
mod waking;
