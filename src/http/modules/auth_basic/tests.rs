use super::*;

#[test]
fn only_right_passwords_are_known_afterwards() {
    let known = Right::default();
    let hash = b"$2y$04$abcdefghijklmnopqrstuuvt96MOaoEqG/uIOjsfD8sO6d73/qUau";
    let password = "pa s:éwörd".as_bytes();
    assert!(!known.check(hash, b"wrong") && !known.knows(hash, b"wrong"));
    assert!(!known.knows(hash, password));
    assert!(known.check(hash, password) && known.knows(hash, password));
    assert!(!known.knows(b"$2y$04$another", password), "a new hash in the file is another one");
    assert!(!known.knows(&hash[..20], &[&hash[20..], password].concat()));
}
