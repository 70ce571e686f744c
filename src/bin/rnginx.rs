//! `rnginx`: see `rha::nginx`.

fn main() -> std::process::ExitCode {
    rha::nginx::cli::main(std::env::args_os().collect())
}
