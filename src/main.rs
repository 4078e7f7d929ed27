//! The one binary: every role and every verb.

fn main() -> std::process::ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if let [role, flag, dir] = args.as_slice()
        && role == "keep"
        && flag == "--dir"
        && handover::keep::run(dir.as_ref()).is_ok()
    {
        return std::process::ExitCode::SUCCESS;
    }
    std::process::ExitCode::FAILURE
}
