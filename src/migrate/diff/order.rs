//! Whether it matters which of two regular expressions is tried first.

/// Whether no text can match both: they end, or begin, in letters that exclude each other.
pub fn apart(one: &str, other: &str) -> bool {
    let (one, other) = (bare(one), bare(other));
    excluded(&endings(&one), &endings(&other), |text, end| text.ends_with(end))
        || excluded(&beginnings(&one), &beginnings(&other), |text, start| text.starts_with(start))
}

/// Whether the order of what both lists have differs where it matters.
pub fn differs(old: &[String], new: &[String]) -> bool {
    let place = |item: &String| new.iter().position(|other| other == item);
    let common: Vec<(&String, usize)> = old.iter().filter_map(|item| Some((item, place(item)?))).collect();
    common.iter().enumerate().any(|(at, (first, here))| {
        let behind = common.iter().skip(at + 1);
        behind.filter(|(_, there)| there < here).any(|(second, _)| !apart(first, second))
    })
}

fn excluded(one: &[String], other: &[String], fits: impl Fn(&str, &str) -> bool) -> bool {
    let free = |a: &String| other.iter().all(|b| !a.is_empty() && !b.is_empty() && !fits(a, b) && !fits(b, a));
    !one.is_empty() && !other.is_empty() && one.iter().all(free)
}

/// The expression without its mark; case is left out of account.
fn bare(text: &str) -> String {
    text.trim_start_matches(['~', '*', ' ']).to_ascii_lowercase()
}

/// The texts one of which it must end in; none where that is not plain.
fn endings(text: &str) -> Vec<String> {
    let Some(body) = text.strip_suffix('$').filter(|body| !body.ends_with('\\')) else { return Vec::new() };
    let (body, choices) = match body.strip_suffix(')').and_then(|body| body.rsplit_once('(')) {
        Some((before, inside)) => {
            (before, inside.trim_start_matches("?:").split('|').map(str::to_owned).collect::<Vec<_>>())
        }
        None => (body, vec![String::new()]),
    };
    if body.contains('|') || choices.iter().any(|choice| literal(choice).is_none()) {
        return Vec::new();
    }
    let mut tail = String::new();
    let mut letters = body.chars().rev().peekable();
    while let Some(letter) = letters.next() {
        let escaped = letters.peek() == Some(&'\\');
        if !(is_plain(letter) || escaped && letter == '.') {
            break;
        }
        tail.insert(0, letter);
        if escaped {
            letters.next();
        }
    }
    choices.iter().filter_map(|choice| Some(format!("{tail}{}", literal(choice)?))).collect()
}

/// The text it must begin with, as a list of one; none where that is not plain.
fn beginnings(text: &str) -> Vec<String> {
    let Some(body) = text.strip_prefix('^').filter(|body| !body.contains('|')) else { return Vec::new() };
    let mut start = String::new();
    let mut letters = body.chars().peekable();
    while let Some(letter) = letters.next() {
        let letter = if letter == '\\' { letters.next().filter(|next| *next == '.') } else { Some(letter) };
        let optional = matches!(letters.peek(), Some('?' | '*' | '+' | '{'));
        match letter {
            Some(letter) if (is_plain(letter) || letter == '.') && !optional => start.push(letter),
            _ => break,
        }
    }
    // A bare dot stands for anything.
    let sure = start.split('.').next().unwrap_or_default().to_owned();
    if sure.is_empty() { Vec::new() } else { vec![sure] }
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '/')
}

/// A text without anything special in it.
fn literal(text: &str) -> Option<String> {
    let plain = text.replace("\\.", ".");
    plain.chars().all(|letter| is_plain(letter) || letter == '.').then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_that_exclude_each_other_may_change_places() {
        let pairs = [
            (r"~ \.php$", r"~ \.html$", true),
            (r"~* \.(gif|jpe?g)$", r"~ \.php$", false),
            (r"~* \.(gif|jpg)$", r"~ \.php$", true),
            (r"~ \.php$", r"~ p$", false),
            (r"~ \.php", r"~ \.html$", false),
            (r"~ ^/a/", r"~ ^/b/", true),
            (r"~ ^/a", r"~ ^/ab", false),
            (r"~ ^/a?b", r"~ ^/c", false),
            (r"~ ^/x.", r"~ ^/y", true),
            (r"~ ^/a|^/b", r"~ ^/c", false),
        ];
        for (one, other, free) in pairs {
            assert_eq!((apart(one, other), apart(other, one)), (free, free), "{one} {other}");
        }
        let list = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        assert!(!differs(&list(&[r"\.a$", r"\.b$"]), &list(&[r"\.b$", r"\.a$"])));
        assert!(differs(&list(&["a", "b"]), &list(&["b", "a"])));
        assert!(!differs(&list(&["a", "b", "c"]), &list(&["a", "c"])));
    }
}
