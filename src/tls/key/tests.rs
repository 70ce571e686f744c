use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../fixtures/tls/", $name))
    };
}

/// The same key, whatever it was wrapped in.
fn point(key: &PrivateKeyDer<'static>) -> Vec<u8> {
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(key).expect("a key rustls can use");
    key.public_key().expect("a public half").to_vec()
}

#[test]
fn every_wrapping_holds_the_same_key() {
    let passwords = Passwords::read(b"wrong\r\nsecret\r\n");
    let open = read(fixture!("self.key"), None).expect("a plain key");
    let wrapped: [&[u8]; 12] = [
        fixture!("plain.pkcs8"),
        fixture!("legacy-aes128.key"),
        fixture!("legacy-aes192.key"),
        fixture!("legacy-aes256.key"),
        fixture!("legacy-des3.key"),
        fixture!("hmacWithSHA1.pkcs8"),
        fixture!("hmacWithSHA256.pkcs8"),
        fixture!("hmacWithSHA384.pkcs8"),
        fixture!("hmacWithSHA512.pkcs8"),
        fixture!("aes-128.pkcs8"),
        fixture!("des3.pkcs8"),
        fixture!("pbe-sha1-3des.pkcs8"),
    ];
    for (index, text) in wrapped.into_iter().enumerate() {
        let key = read(text, Some(&passwords)).unwrap_or_else(|error| panic!("{index}: {error:?}"));
        assert_eq!(point(&key), point(&open), "{index}");
    }
    let rsa = read(fixture!("rsa.pkcs1"), None).expect("PKCS #1");
    assert_eq!(point(&rsa), point(&read(fixture!("rsa.key"), None).expect("PKCS #8")));
    assert_eq!(point(&rsa), point(&read(fixture!("legacy-rsa.key"), Some(&passwords)).expect("an older one")));
    assert!(point(&read(fixture!("ed25519.key"), None).expect("Ed25519")).len() > 32);
}

#[test]
fn a_key_that_stays_closed_says_why() {
    let wrong = Passwords::read(b"wrong\n");
    assert_eq!(read(fixture!("legacy-aes128.key"), None), Err(KeyError::NoPassword));
    assert_eq!(read(fixture!("legacy-aes128.key"), Some(&wrong)), Err(KeyError::WrongPassword));
    assert_eq!(read(fixture!("des3.pkcs8"), Some(&wrong)), Err(KeyError::WrongPkcs8Password));
    assert_eq!(read(fixture!("scrypt.pkcs8"), Some(&wrong)), Err(KeyError::Unsupported("scrypt")));
    assert_eq!(read(fixture!("self.crt"), None), Err(KeyError::Unreadable));
}
