//! What both daemons need to live as processes: pid files, keeping children alive, the service manager, the terminal.

pub mod pidfile;
pub mod service;
pub mod supervise;
pub mod terminal;
