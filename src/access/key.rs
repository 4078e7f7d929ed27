//! A public key as people hand it in: decoded, and from then on only what was decoded is written.

use std::fmt;
use std::str::FromStr;

use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg};

/// The least size of an RSA key, in bits.
const RSA_BITS_MIN: usize = 2048;

/// Why a text is not a key that can be taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// There is nothing.
    #[error("read the key: there is none; give the line of a .pub file on standard input")]
    None,
    /// There are several.
    #[error("read the key: there are {0}; add one at a time, each under a name of its own")]
    Several(usize),
    /// It is the private half.
    #[error(
        "read the key: this is a private key, which should never leave its machine; give the .pub file beside it"
    )]
    Private,
    /// The line does not begin with a type that is taken.
    #[error(
        "read the key: `{0}` is no type of key that is taken here; the line begins with ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256 (384, 521), sk-ssh-ed25519@openssh.com or sk-ecdsa-sha2-nistp256@openssh.com, with no options before it"
    )]
    Type(String),
    /// What comes after the type is not a key of that type.
    #[error("read the key: what follows `{0}` is not a whole key of that type")]
    Damaged(String),
    /// An RSA key that is too short to be safe.
    #[error(
        "take the key: RSA with {0} bits is too short, {RSA_BITS_MIN} is the least; make a better one: ssh-keygen -t ed25519"
    )]
    Short(usize),
}

/// A public key: its type and its numbers, without options and comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(ssh_key::PublicKey);

impl PublicKey {
    /// The type as ssh names it: `ssh-ed25519`.
    pub fn kind(&self) -> String {
        self.0.algorithm().as_str().to_owned()
    }

    /// The fingerprint as `ssh-keygen -l` shows it: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }
}

/// `<type> <base64>`, written anew from what was decoded.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0.to_openssh().map_err(|_| fmt::Error)?;
        f.write_str(&line)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads the one key of a text. Empty lines and comments (`#`) are passed over.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        match lines.as_slice() {
            [] => Err(KeyError::None),
            [line] => one(line),
            several => Err(KeyError::Several(several.len())),
        }
    }
}

fn one(line: &str) -> Result<PublicKey, KeyError> {
    let mut words = line.split_ascii_whitespace();
    let kind = words.next().unwrap_or_default();
    if !is_taken(kind) {
        return Err(KeyError::Type(shown(kind)));
    }
    let damaged = || KeyError::Damaged(kind.to_owned());
    let numbers = words.next().ok_or_else(damaged)?;
    let key = ssh_key::PublicKey::from_openssh(&format!("{kind} {numbers}"));
    let key = key.map_err(|_| damaged())?;
    match key.key_data() {
        KeyData::Rsa(rsa) => {
            let bits = bits(rsa.n.as_positive_bytes().ok_or_else(damaged)?);
            if bits < RSA_BITS_MIN {
                return Err(KeyError::Short(bits));
            }
        }
        KeyData::Ed25519(_)
        | KeyData::Ecdsa(_)
        | KeyData::SkEd25519(_)
        | KeyData::SkEcdsaSha2NistP256(_) => {}
        _ => return Err(KeyError::Type(shown(kind))),
    }
    Ok(PublicKey(key))
}

fn is_taken(kind: &str) -> bool {
    match Algorithm::new(kind) {
        Ok(
            Algorithm::Ed25519
            | Algorithm::Rsa { hash: None }
            | Algorithm::Ecdsa { .. }
            | Algorithm::SkEd25519
            | Algorithm::SkEcdsaSha2NistP256,
        ) => true,
        // The crate's list may grow; what is not known here is not taken.
        _ => false,
    }
}

/// The size of a number, in bits.
fn bits(bytes: &[u8]) -> usize {
    let unused = bytes.first().map_or(0, |first| first.leading_zeros());
    (bytes.len() * 8).saturating_sub(unused as usize)
}

/// The beginning of a word that was not understood, fit for a terminal.
fn shown(word: &str) -> String {
    word.chars()
        .take(40)
        .collect::<String>()
        .escape_debug()
        .to_string()
}

#[cfg(test)]
mod tests;
