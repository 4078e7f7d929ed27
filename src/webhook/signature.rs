//! The signature of a delivery: HMAC-SHA256 (RFC 2104, FIPS 180-4).
//!
//! What is signed is the time of the attempt, a dot, and the body, so that a delivery that somebody has overheard
//! can't be sent again later: the receiver refuses old times.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::ids::{WebhookSecret, hex};

/// What the header `X-Handover-Signature` says: `sha256=` and 64 hexadecimal digits. `seconds` is what the header
/// `X-Handover-Timestamp` says, in seconds since 1970.
pub(super) fn sign(secret: &WebhookSecret, seconds: i64, body: &str) -> String {
    let signed = format!("{seconds}.{body}");
    format!("sha256={}", hmac_hex(secret.as_str().as_bytes(), &signed))
}

fn hmac_hex(key: &[u8], text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("keys of HMAC may have any length");
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 1, 2 and 6.
    #[test]
    fn it_is_the_hmac_of_the_standard() {
        for (key, text, wanted) in [
            (
                &[0x0b; 20][..],
                "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hmac_hex(key, text), wanted);
        }
    }

    #[test]
    fn another_time_body_or_secret_is_another_signature() {
        let (one, other) = ("0123456789abcdef", "fedcba9876543210");
        let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
        let signed = sign(&one, 1_700_000_000, "{}");
        assert!(signed.starts_with("sha256=") && signed.len() == 71);
        assert_eq!(signed, sign(&one, 1_700_000_000, "{}"));
        for different in [
            sign(&one, 1_700_000_001, "{}"),
            sign(&one, 1_700_000_000, "{ }"),
            sign(&other, 1_700_000_000, "{}"),
        ] {
            assert_ne!(signed, different);
        }
    }
}
