//! What both daemons need to live as processes: pid files, signals as events, keeping children alive.

pub mod pidfile;
pub mod supervise;
