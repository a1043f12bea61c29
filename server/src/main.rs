//! The binary `weir`.

use std::process::ExitCode;

fn main() -> ExitCode {
    weir_server::cli::main()
}
