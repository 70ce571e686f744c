//! Braces in patterns of file names, as glob(3) reads them with `GLOB_BRACE`: `{a,b}` is `a`, then `b`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::source::Loader;

/// Alternatives one pattern may stand for.
const MOST: usize = 4096;

/// The files that match a pattern, those of each alternative sorted.
pub fn glob(loader: &dyn Loader, pattern: &str) -> Vec<String> {
    let each = alternatives(pattern);
    each.iter().flat_map(|pattern| loader.glob(pattern).unwrap_or_default()).collect()
}

/// The patterns without braces that a pattern stands for, in order. `{}` and a brace without partner are themselves.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut open = vec![(String::new(), pattern.to_owned())];
    let mut done = Vec::new();
    while let Some((before, rest)) = open.pop() {
        let Some((start, choices, end)) = braces(&rest) else {
            done.push(before + &rest);
            continue;
        };
        let (head, tail) = (rest.get(..start).unwrap_or_default(), rest.get(end..).unwrap_or_default());
        if done.len() + open.len() + choices.len() > MOST {
            return vec![pattern.to_owned()];
        }
        // The last one pushed is the next one read.
        open.extend(choices.iter().rev().map(|choice| (format!("{before}{head}"), format!("{choice}{tail}"))));
    }
    done
}

/// The first pair of braces with something inside: where it begins, its choices, where it ends.
fn braces(pattern: &str) -> Option<(usize, Vec<&str>, usize)> {
    let start = pattern.match_indices('{').map(|(at, _)| at).find(|at| !pattern.get(*at..).is_some_and(is_empty))?;
    let inside = pattern.get(start + 1..)?;
    let (mut depth, mut from, mut choices) = (0_usize, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                choices.push(inside.get(from..at)?);
                return Some((start, choices, start + 1 + at + 1));
            }
            ',' if depth == 0 => {
                choices.push(inside.get(from..at)?);
                from = at + 1;
            }
            _ => {}
        }
    }
    None
}

fn is_empty(braces: &str) -> bool {
    braces.starts_with("{}")
}

#[cfg(test)]
mod tests {
    use super::alternatives;

    #[test]
    fn braces_stand_for_their_choices_in_order() {
        assert_eq!(alternatives("a"), ["a"]);
        assert_eq!(alternatives("/c/{b,a}.conf"), ["/c/b.conf", "/c/a.conf"]);
        assert_eq!(alternatives("{a,b}{1,2}"), ["a1", "a2", "b1", "b2"]);
        assert_eq!(alternatives("x{a,{b,c}d,}"), ["xa", "xbd", "xcd", "x"]);
        assert_eq!(alternatives("{}a{x"), ["{}a{x"]);
        assert_eq!(alternatives(&"{a,b}".repeat(40)).len(), 1);
    }
}
