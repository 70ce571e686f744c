//! `rkeepalived`: see `rha::keepalived`.

fn main() -> std::process::ExitCode {
    rha::keepalived::cli::main(std::env::args_os().collect())
}
