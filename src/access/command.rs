//! What an ssh client asks for (`SSH_ORIGINAL_COMMAND`): understood exactly, or refused. No shell ever sees it.
//!
//! ```text
//! nothing                               a greeting
//! git-receive-pack 'shop'               a push: the app's name, with or without `/` or `~/` before, `.git` or `/` after
//! git-upload-pack 'shop'                a fetch
//! status shop                           a verb of handover
//! ```

use crate::ids::AppName;

/// The longest command, in bytes.
const MAX_LEN: usize = 4096;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Nothing: somebody wants to see whether the key works.
    Greeting,
    /// To push to an app's repository.
    ReceivePack(AppName),
    /// To read an app's repository.
    UploadPack(AppName),
    /// A verb of handover, with its arguments.
    Verb(Vec<String>),
}

/// Why a command is not understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommandError {
    /// More than anybody needs.
    #[error("read a command of {0} bytes: {MAX_LEN} are allowed")]
    Long(usize),
    /// A character that means something to a shell.
    #[error(
        "read the command: `{0}` has no meaning here, for no shell reads it; put a word with blanks or signs between single quotes"
    )]
    Sign(String),
    /// A quote without its second.
    #[error("read the command: a quote is not closed")]
    Quote,
    /// git's program, but not with one name.
    #[error("read the command: {program} takes the name of one app, as in: {program} 'shop'")]
    Arguments {
        /// git's program.
        program: &'static str,
    },
    /// Not the name of an app.
    #[error("find an app `{0}`: give the app's name alone, as in ssh://host/shop or host:shop")]
    Repository(String),
}

/// Understands a command, or refuses it.
pub fn parse(text: &str) -> Result<Command, CommandError> {
    let words = split(text)?;
    let Some((first, rest)) = words.split_first() else {
        return Ok(Command::Greeting);
    };
    match first.as_str() {
        "git-receive-pack" => repository("git-receive-pack", rest).map(Command::ReceivePack),
        "git-upload-pack" => repository("git-upload-pack", rest).map(Command::UploadPack),
        _ => Ok(Command::Verb(words)),
    }
}

fn repository(program: &'static str, rest: &[String]) -> Result<AppName, CommandError> {
    let [path] = rest else {
        return Err(CommandError::Arguments { program });
    };
    let name = path.strip_prefix("~/").or_else(|| path.strip_prefix('/'));
    let name = name.unwrap_or(path);
    let name = name.strip_suffix('/').unwrap_or(name);
    let name = name.strip_suffix(".git").unwrap_or(name);
    name.parse()
        .map_err(|_| CommandError::Repository(path.escape_debug().to_string()))
}

/// Whether a value of `GIT_PROTOCOL` is what git's own client sends: `version=2`.
pub fn is_git_protocol(text: &str) -> bool {
    let known = |part| matches!(part, "version=0" | "version=1" | "version=2");
    text.len() <= MAX_LEN && text.split(':').all(known)
}

/// Splits a text into words at blanks. It understands plain words and git's own quoting (`'it'\''s'`), and refuses
/// everything that a shell would act on.
fn split(text: &str) -> Result<Vec<String>, CommandError> {
    if text.len() > MAX_LEN {
        return Err(CommandError::Long(text.len()));
    }
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' => words.extend(word.take()),
            '\'' => quoted(&mut rest, word.get_or_insert_default())?,
            '\\' => match rest.next() {
                Some(escaped @ ('\'' | '!')) => word.get_or_insert_default().push(escaped),
                other => return Err(sign(other.unwrap_or(c))),
            },
            c if c.is_ascii_alphanumeric() || "@%+=:,./_^~-".contains(c) => {
                word.get_or_insert_default().push(c);
            }
            other => return Err(sign(other)),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Reads up to the closing quote. Between quotes everything stands for itself, and control characters for nothing good.
fn quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), CommandError> {
    for c in rest {
        match c {
            '\'' => return Ok(()),
            c if c.is_control() => return Err(sign(c)),
            c => word.push(c),
        }
    }
    Err(CommandError::Quote)
}

fn sign(c: char) -> CommandError {
    CommandError::Sign(c.escape_debug().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn app(name: &str) -> AppName {
        name.parse().unwrap()
    }

    /// As git's `sq_quote_buf` writes a word.
    fn quote(word: &str) -> String {
        let inner: String = word
            .chars()
            .map(|c| match c {
                '\'' | '!' => format!("'\\{c}'"),
                c => c.to_string(),
            })
            .collect();
        format!("'{inner}'")
    }

    #[test]
    fn gits_own_commands_are_understood() {
        for path in [
            "shop",
            "shop.git",
            "/shop",
            "/shop.git",
            "~/shop",
            "~/shop.git",
            "shop/",
            "/shop/",
        ] {
            let push = parse(&format!("git-receive-pack '{path}'"));
            assert_eq!(push, Ok(Command::ReceivePack(app("shop"))), "{path}");
            let fetch = parse(&format!("git-upload-pack '{path}'"));
            assert_eq!(fetch, Ok(Command::UploadPack(app("shop"))), "{path}");
        }
        assert_eq!(
            parse("git-upload-pack shop"),
            Ok(Command::UploadPack(app("shop")))
        );
    }

    #[test]
    fn nothing_is_a_greeting() {
        assert_eq!(parse(""), Ok(Command::Greeting));
        assert_eq!(parse("  "), Ok(Command::Greeting));
    }

    #[test]
    fn verbs_come_as_words() {
        let words = |text: &str| match parse(text) {
            Ok(Command::Verb(words)) => words,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(words("logs -f  shop"), ["logs", "-f", "shop"]);
        assert_eq!(words("scale shop web=3"), ["scale", "shop", "web=3"]);
        assert_eq!(words("deploy shop 'a b'"), ["deploy", "shop", "a b"]);
        assert_eq!(words("deploy shop main~1"), ["deploy", "shop", "main~1"]);
        assert_eq!(
            words("git receive-pack 'shop'")[0],
            "git",
            "which is no verb"
        );
    }

    #[test]
    fn whatever_a_shell_would_act_on_is_refused() {
        for text in [
            "git-receive-pack 'shop'; id",
            "git-receive-pack 'shop' | sh",
            "git-receive-pack 'shop' && id",
            "git-receive-pack $(id)",
            "git-receive-pack `id`",
            "git-receive-pack 'shop'\nid",
            "git-receive-pack 'shop\nid'",
            "git-receive-pack 'shop",
            "git-receive-pack \"shop\"",
            "git-receive-pack shop > /etc/passwd",
            "git-receive-pack sh*p",
            "git-receive-pack shop#",
            "git-receive-pack\tshop",
            "git-receive-pack \\$shop",
            "git-receive-pack shop\\",
            "git-receive-pack shöp",
        ] {
            let refused = parse(text);
            assert!(
                matches!(refused, Err(CommandError::Sign(_) | CommandError::Quote)),
                "{text:?}: {refused:?}"
            );
        }
    }

    #[test]
    fn only_the_name_of_one_app_is_a_repository() {
        for path in [
            "../shop",
            "/srv/shop",
            "shop/../blog",
            "//shop",
            "~ada/shop",
            "~/../shop",
            "/~/shop",
            "shop.git.git",
            "",
            "/",
            "-shop",
            "--upload-pack=id",
            "sh'\\''op",
            "shöp",
            "$(id)",
            ".git",
            "SHOP",
        ] {
            let refused = parse(&format!("git-upload-pack '{path}'"));
            assert!(
                matches!(refused, Err(CommandError::Repository(_))),
                "{path:?}: {refused:?}"
            );
        }
        for text in [
            "git-receive-pack",
            "git-receive-pack 'shop' 'blog'",
            "git-receive-pack --foo shop",
            "git-receive-pack shop --foo",
        ] {
            assert!(
                matches!(parse(text), Err(CommandError::Arguments { .. })),
                "{text:?}"
            );
        }
    }

    #[test]
    fn only_versions_are_passed_to_git() {
        for good in ["version=0", "version=1", "version=2", "version=2:version=1"] {
            assert!(is_git_protocol(good), "{good}");
        }
        for bad in [
            "",
            "version=3",
            "version=2:",
            "version=2;id",
            "a",
            "version=2\n",
            " version=2",
        ] {
            assert!(!is_git_protocol(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_command_of_any_length_ends() {
        assert_eq!(parse(&"a".repeat(5000)), Err(CommandError::Long(5000)));
    }

    proptest! {
        #[test]
        fn any_text_is_understood_or_refused(text in "\\PC{0,200}|.{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_git_quotes_is_read_as_it_was(words in proptest::collection::vec("[^\\pC]{0,20}", 1..6)) {
            let text: Vec<String> = words.iter().map(|word| quote(word)).collect();
            prop_assert_eq!(split(&text.join(" ")), Ok(words));
        }

        #[test]
        fn no_command_names_a_repository_that_is_no_app(path in "[^\\pC]{0,20}") {
            match parse(&format!("git-receive-pack {}", quote(&path))) {
                Ok(Command::ReceivePack(app)) => prop_assert!(path.contains(app.as_str())),
                Ok(other) => prop_assert!(false, "{other:?}"),
                Err(_) => {}
            }
        }
    }
}
