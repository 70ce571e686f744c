//! `rmigrate`: see `rha::migrate`.

fn main() -> std::process::ExitCode {
    rha::migrate::cli::main(std::env::args_os().collect())
}
