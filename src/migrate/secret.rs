//! What must not be printed: passwords are compared, and never shown.

/// Keywords whose arguments are secrets, of both programs.
const KEYWORDS: [&str; 8] =
    ["auth_pass", "auth_hmac", "secure_link_secret", "auth_key", "smtp_password", "userid_mark", "key", "password"];

/// Headers whose values are secrets.
const HEADERS: [&str; 7] =
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token", "api-key"];

/// What is shown in a secret's place.
pub const HIDDEN: &str = "(secret)";

/// How many words of a statement may be shown; all of them when none is a secret.
pub fn visible(words: &[impl AsRef<str>]) -> usize {
    let Some(name) = words.first().map(AsRef::as_ref) else { return 0 };
    if KEYWORDS.contains(&name) {
        return 1;
    }
    let header = words.get(1).map(|word| word.as_ref().to_ascii_lowercase()).unwrap_or_default();
    let named = HEADERS.contains(&header.as_str()) || header.starts_with("http_authorization");
    let sets =
        matches!(name, "add_header" | "add_trailer") || name.ends_with("_set_header") || name.ends_with("_param");
    if sets && named && !words.get(2).is_some_and(|word| word.as_ref().starts_with('$')) {
        return 2;
    }
    let scheme = |word: &str| ["basic ", "bearer "].iter().any(|scheme| word.to_ascii_lowercase().starts_with(scheme));
    words.iter().position(|word| scheme(word.as_ref()) || in_url(word.as_ref())).unwrap_or(words.len())
}

/// Whether a word is an address with a password in it.
fn in_url(word: &str) -> bool {
    let Some((_, rest)) = word.split_once("://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// A line of a file as it may be shown; equal secrets have equal numbers.
pub fn line(text: &str, seen: &mut Vec<String>) -> String {
    let start = text.len() - text.trim_start().len();
    let body = text.trim();
    let pieces: Vec<&str> = body.split(['{', ';']).collect();
    let mut out = body.to_owned();
    for piece in pieces {
        let words: Vec<&str> = piece.split_whitespace().collect();
        let shown = visible(&words);
        if shown >= words.len() {
            continue;
        }
        let secret = words.get(shown..).unwrap_or_default().join(" ");
        let number = seen.iter().position(|known| *known == secret).unwrap_or_else(|| {
            seen.push(secret.clone());
            seen.len() - 1
        });
        let head = words.get(..shown).unwrap_or_default().join(" ");
        out = out.replace(piece, &format!(" {head} (secret {})", number + 1));
    }
    format!("{}{}", text.get(..start).unwrap_or_default(), out.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_numbered_and_not_shown() {
        let mut seen = Vec::new();
        assert_eq!(line("    auth_pass hunter2", &mut seen), "    auth_pass (secret 1)");
        assert_eq!(line("auth_pass other", &mut seen), "auth_pass (secret 2)");
        assert_eq!(line("\tauth_pass   hunter2 ", &mut seen), "\tauth_pass (secret 1)");
        let header = "proxy_set_header Authorization \"Basic aGk6aG8=\";";
        assert_eq!(line(header, &mut seen), "proxy_set_header Authorization (secret 3);");
        let inside = "location / { proxy_pass http://u:p@h/; }";
        assert!(!line(inside, &mut seen).contains("u:p"));
        let kept = "proxy_set_header Authorization $http_authorization;";
        assert_eq!(line(kept, &mut seen), kept);
        assert_eq!(line("root /srv;", &mut seen), "root /srv;");
    }
}
