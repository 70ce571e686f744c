//! The stream server: connections relayed as they come.
