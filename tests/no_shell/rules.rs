//! What handover's own processes may start, argument by argument.

use std::path::Path;

use crate::support::execs::{Exec, Image};

/// The names under which shells go.
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "busybox", "zsh", "ksh", "env"];

/// What is started, where it is as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Allowed<'e> {
    /// By another program: npm, the app, git, or whoever pushes.
    NotOurs,
    /// A role of handover's own.
    Role(&'e str),
    /// npm, with words of ours alone.
    Npm,
    /// A program that is asked for its version.
    Version,
    /// node, which is asked what it is, in words of ours.
    Question,
    /// The same again, with another allocator.
    Itself,
    /// git, to pack a repository.
    Repack,
    /// The app's own: its start command or its build command, which are text for a shell.
    AppsOwn(&'e str),
    /// The repository's own hook, without arguments.
    ChainedHook,
}

/// Judges what was started. The error says what is wrong.
pub(crate) fn judge(exec: &Exec) -> Result<Allowed<'_>, String> {
    let Some(role) = role(&exec.caller) else {
        return Ok(Allowed::NotOurs);
    };
    let image = &*exec.image;
    if role == "serve" && name(&image.program) == "handover" && image.argv == exec.caller.argv {
        return Ok(Allowed::Itself);
    }
    let arguments: Vec<&str> = image.argv.iter().skip(1).map(String::as_str).collect();
    allowed(role, image, &arguments).ok_or_else(|| format!("{role} starts {image:?}"))
}

/// What a process of handover's is: `serve`, `keep`, `hook` or another verb.
pub(crate) fn role(image: &Image) -> Option<&str> {
    if name(&image.program) != "handover" {
        return None;
    }
    let mut words = image.argv.iter().map(String::as_str).skip(1);
    let first = words.next()?;
    if first == "--home" {
        return words.nth(1);
    }
    Some(first)
}

fn allowed<'e>(role: &'e str, image: &'e Image, arguments: &[&'e str]) -> Option<Allowed<'e>> {
    match (name(&image.program), arguments) {
        ("sh", ["-c", text]) if matches!(role, "serve" | "keep") => {
            (image.program == "/bin/sh").then_some(Allowed::AppsOwn(text))
        }
        (shell, _) if SHELLS.contains(&shell) => None,
        ("handover", ["keep", "--dir", dir]) if role == "serve" => {
            is_absolute(dir).then_some(Allowed::Role("keep"))
        }
        ("handover", ["front", "--control", socket, listeners @ ..]) if role == "serve" => {
            (is_absolute(socket) && are_listeners(listeners)).then_some(Allowed::Role("front"))
        }
        ("git", ["repack", "-d", "-q", how @ ..]) if role == "serve" => {
            matches!(how, ["--geometric=2"] | ["-a", "-k"]).then_some(Allowed::Repack)
        }
        ("npm", words) if role == "serve" => are_npms(words).then_some(Allowed::Npm),
        ("node", ["-e", question]) if role == "serve" => {
            (*question == handover::build::NODE_QUESTION).then_some(Allowed::Question)
        }
        ("git", [pack @ ("receive-pack" | "upload-pack"), repo]) if role == "ssh" => {
            is_absolute(repo).then_some(Allowed::Role(pack))
        }
        (_, ["--version"]) => Some(Allowed::Version),
        (hook, []) if role == "hook" && is_absolute(&image.program) => hook
            .ends_with("-receive.chained")
            .then_some(Allowed::ChainedHook),
        _ => None,
    }
}

fn are_npms(words: &[&str]) -> bool {
    const FIXED: [&str; 10] = [
        "ci",
        "--no-audit",
        "--no-fund",
        "--prefer-offline",
        "--include=dev",
        "--foreground-scripts",
        "--loglevel=info",
        "--omit=dev",
        "--omit=optional",
        "--omit=peer",
    ];
    words == ["run", "build"]
        || words.first() == Some(&"ci") && words.iter().all(|word| FIXED.contains(word))
}

fn are_listeners(words: &[&str]) -> bool {
    let listener =
        |pair: &[&str]| matches!(pair, ["--listen-fd", number] if number.parse::<u32>().is_ok());
    !words.is_empty() && words.chunks(2).all(listener)
}

fn is_absolute(path: &str) -> bool {
    path.starts_with('/')
}

fn name(program: &str) -> &str {
    let name = Path::new(program).file_name();
    name.and_then(|name| name.to_str()).unwrap_or(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::execs::Log;

    /// What is said of a program that `serve` starts, by way of a fork that strace sees end only later.
    fn said(call: &str) -> Result<(), String> {
        let log = format!(
            "10 execve(\"/opt/handover\", [\"handover\", \"--home\", \"/h\", \"serve\"], 0x0 /* 3 vars */) = 0\n\
             10 clone3({{flags=CLONE_VM}}, 88 <unfinished ...>\n\
             11 {call}, 0x0 /* 3 vars */ <unfinished ...>\n\
             10 <... clone3 resumed>) = 11\n\
             11 <... execve resumed>) = 0\n\
             11 execve(\"/bin/sh\", [\"sh\", \"-c\", \"whatever\"], 0x0 /* 3 vars */) = 0\n\
             11 +++ exited with 0 +++\n\
             10 +++ exited with 0 +++\n"
        );
        let log = Log::parse(&log).unwrap();
        assert!(log.is_complete());
        assert_eq!(log.execs.len(), 3);
        if role(&log.execs[1].image).is_none() {
            assert_eq!(judge(&log.execs[2]), Ok(Allowed::NotOurs));
        }
        judge(&log.execs[1]).map(|_| ())
    }

    #[test]
    fn what_serve_starts_is_known_word_by_word() {
        for call in [
            r#"execve("/opt/handover", ["/opt/handover", "keep", "--dir", "/run/shop/g1"]"#,
            r#"execve("/opt/handover", ["handover", "front", "--control", "/run/f", "--listen-fd", "200"]"#,
            r#"execve("/usr/bin/npm", ["/usr/bin/npm", "ci", "--no-audit", "--include=dev"]"#,
            r#"execve("/usr/bin/git", ["git", "--version"]"#,
            r#"execve("/usr/bin/git", ["git", "repack", "-d", "-q", "--geometric=2"]"#,
            r#"execve("/opt/handover", ["handover", "--home", "/h", "serve"]"#,
            r#"execve("/bin/sh", ["/bin/sh", "-c", "echo \"a\ttab\" \303\251"]"#,
        ] {
            assert_eq!(said(call), Ok(()), "{call}");
        }
    }

    #[test]
    fn a_shell_or_words_of_somebody_else_are_seen() {
        for call in [
            r#"execve("/bin/bash", ["bash", "-c", "id"]"#,
            r#"execve("/usr/bin/sh", ["sh", "-c", "git fetch $ref"]"#,
            r#"execve("/bin/sh", ["sh", "script", "-c"]"#,
            r#"execve("/usr/bin/env", ["env", "git", "--version"]"#,
            r#"execve("/usr/bin/git", ["git", "update-ref", "refs/heads/main"]"#,
            r#"execve("/usr/bin/git", ["git", "--upload-pack=id"]"#,
            r#"execve("/usr/bin/git", ["git", "repack", "-d", "-q", "--window=1"]"#,
            r#"execve("/usr/bin/npm", ["npm", "ci", "--no-audit", "-x"]"#,
            r#"execve("/opt/handover", ["handover", "--home", "/x", "serve"]"#,
            r#"execve("/usr/bin/npm", ["npm", "run", "build", "main"]"#,
            r#"execve("/usr/bin/node", ["node", "-e", "console.log(1)"]"#,
            r#"execve("/opt/handover", ["handover", "keep", "--dir", "-x"]"#,
            r#"execveat(AT_FDCWD, "/bin/zsh", ["zsh"]"#,
        ] {
            assert!(said(call).is_err(), "{call}");
        }
    }

    #[test]
    fn a_log_that_is_cut_off_is_not_judged() {
        assert!(Log::parse("10 execve(\"/bin/sh\", [\"s").is_none());
        let open = "10 execve(\"/bin/true\", [\"true\"], 0x0) = 0\n";
        assert!(!Log::parse(open).unwrap().is_complete());
    }

    #[test]
    fn an_id_that_is_used_again_is_another_process() {
        let log = "10 execve(\"/opt/handover\", [\"handover\", \"serve\"], 0x0) = 0\n\
                   10 clone(child_stack=NULL, flags=SIGCHLD) = 11\n\
                   11 execve(\"/usr/bin/npm\", [\"npm\", \"ci\"], 0x0) = 0\n\
                   11 +++ exited with 0 +++\n\
                   10 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>\n\
                   11 execve(\"/bin/bash\", [\"bash\"], 0x0) = -1 ENOENT (No such file or directory)\n\
                   11 +++ exited with 127 +++\n\
                   10 <... clone resumed>) = 11\n\
                   10 +++ killed by SIGKILL +++\n";
        let log = Log::parse(log).unwrap();
        assert!(log.is_complete());
        assert_eq!(judge(&log.execs[1]), Ok(Allowed::Npm));
        assert!(judge(&log.execs[2]).is_err(), "a failed attempt, too");
    }
}
