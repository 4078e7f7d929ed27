use proptest::prelude::*;

use super::*;

const ED25519: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGcf5Nc6R+cvo337WH7Fxls5Use622rhJ0rENiQWiKyx";
const RSA_2048: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDgfqzTbgQTFd9PXo3/dRCzICHfF/65mijn8vtZkBP2NwrM9NHLkemwMcf/9qTaDHU+YtReGVbtFaE/KSpLXHoq+xv3fakhoQCKpHq/4G4Luuxctjx3wT+xlctCn0jowdniny1oNZfo9K9nhQ6x0S7b8Deuie0kNrKcGEfcvS4oZLuGkZKR0CfrfXgwxrlUFPPSZ6kBoDEcuPRE19C1MgXW8NR62bhLC7tLiioXPT5o71peG2p549igtOKEKVIBb7UkE2C25LW0Ll1selELJ3PtgvYe/XRc8hAjbsCmdNCFi+u/Bo3foNimV06YmIrpEAmMITVxAx8OGa06/GGyEp7H";
const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQChVhsSJP/d7VTxhxHGWJQUH85z0oHDgZMSIIVToNI5LlFM1t2IMClgolLOmYfvs3Y70g5KLU4GXeDeHUl465z+RXZhdw/qNoT0BU0N/LKkKndr5dZGc+L8s38PvE93v+Wr+D0IssEpKkI9jzq6ZSxjttLjnn7a5vNVTf8S6T/FBQ==";
const ECDSA_256: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEfJPh39q4nXsW2wuCziKvwRsX9zo6T5W3MzqB61hveSfhXQLW9bgjtBqnW250NiP+iwo6pzlHO4718zwQDDHzU=";
const ECDSA_521: &str = "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBABOPbcYzZ/GBobMdSUcye9icPM8MlwsR6sJ8l2a/QVoo2Dt1Z6lJh86rKgcPH8OBPf6Cx2qx2BVbkyonxLURk1r4gE1ZFnZEa0Jels54gQrZ6USMH4BnVlwb81GTzL8TIsFCEZ/KX/oI33RT1caovNfiy0LWtgZaQbAMe9mA3eAOT9mSQ==";
const SK_ED25519: &str = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIGcf5Nc6R+cvo337WH7Fxls5Use622rhJ0rENiQWiKyxAAAABHNzaDo=";
const SK_ECDSA: &str = "sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAAAIbmlzdHAyNTYAAABBBEfJPh39q4nXsW2wuCziKvwRsX9zo6T5W3MzqB61hveSfhXQLW9bgjtBqnW250NiP+iwo6pzlHO4718zwQDDHzUAAAAEc3NoOg==";

const TAKEN: [&str; 6] = [
    ED25519, RSA_2048, ECDSA_256, ECDSA_521, SK_ED25519, SK_ECDSA,
];

fn refusal(text: &str) -> KeyError {
    text.parse::<PublicKey>().unwrap_err()
}

#[test]
fn each_type_is_written_as_it_was_read_but_without_its_comment() {
    for line in TAKEN {
        let read: PublicKey = format!("# mine\n\n  {line}  ada@laptop $(id)\n")
            .parse()
            .unwrap();
        assert_eq!(read.to_string(), line);
        assert_eq!(read.kind(), line.split(' ').next().unwrap());
    }
}

#[test]
fn fingerprints_are_those_of_ssh_keygen() {
    let key: PublicKey = ED25519.parse().unwrap();
    assert_eq!(
        key.fingerprint(),
        "SHA256:f3JVlJQFEocKXddhDpwhPDElAmgCsbN7DC0U7XVPn+Y"
    );
}

#[test]
fn a_short_rsa_key_is_refused_with_its_size() {
    assert_eq!(refusal(RSA_1024), KeyError::Short(1024));
}

#[test]
fn options_before_the_key_are_refused() {
    for options in ["command=\"id\"", "restrict", "no-pty,environment=\"A=b\""] {
        assert!(matches!(
            refusal(&format!("{options} {ED25519}")),
            KeyError::Type(_)
        ));
    }
}

#[test]
fn types_that_are_weak_or_no_keys_are_refused() {
    for kind in [
        "ssh-dss",
        "ssh-ed25519-cert-v01@openssh.com",
        "rsa-sha2-256",
        "x",
        "ssh-ed25519,",
    ] {
        assert!(
            matches!(refusal(&format!("{kind} AAAA")), KeyError::Type(_)),
            "{kind}"
        );
    }
}

#[test]
fn a_key_that_is_not_whole_is_refused() {
    let (kind, numbers) = ED25519.split_once(' ').unwrap();
    for text in [
        kind.to_owned(),
        format!("{kind} AAAA"),
        format!("{kind} {}", &numbers[..numbers.len() - 4]),
        format!("{kind} {numbers}AAAA"),
        format!("{kind} {}", numbers.replace('A', "*")),
        format!("ssh-rsa {numbers}"),
    ] {
        assert!(matches!(refusal(&text), KeyError::Damaged(_)), "{text}");
    }
}

#[test]
fn one_key_at_a_time() {
    assert_eq!(
        refusal(&format!("{ED25519}\n{ECDSA_256}\n")),
        KeyError::Several(2)
    );
    assert_eq!(refusal("\n# nothing\n"), KeyError::None);
}

#[test]
fn a_private_key_is_known_and_not_shown() {
    let private =
        "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n-----END OPENSSH PRIVATE KEY-----\n";
    assert_eq!(refusal(private), KeyError::Private);
    assert!(!refusal(private).to_string().contains("secret"));
}

proptest! {
    #[test]
    fn any_text_is_a_key_or_refused(text in "(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp256|sk-ssh-ed25519@openssh.com|\\PC{0,9}) [A-Za-z0-9+/=]{0,120}") {
        let _ = text.parse::<PublicKey>();
    }

    #[test]
    fn whatever_is_taken_is_two_plain_words(cut in 0usize..200, with in "[A-Za-z0-9+/]{4}") {
        for line in TAKEN {
            let at = cut.min(line.len());
            let end = (at + 4).min(line.len());
            let changed = format!("{}{with}{}", &line[..at], &line[end..]);
            if let Ok(key) = changed.parse::<PublicKey>() {
                let written = key.to_string();
                prop_assert!(written.chars().all(|c| c.is_ascii_alphanumeric() || "+/= @.-".contains(c)), "{written}");
                prop_assert_eq!(written.split(' ').count(), 2);
                prop_assert_eq!(written.parse::<PublicKey>().unwrap(), key);
            }
        }
    }
}
