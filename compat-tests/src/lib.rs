//! The lab: hosts, servers, clients and captures for the tests, the demo and the bench.
