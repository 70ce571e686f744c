//! Broken keepalived configurations out of whole ones: one small change each, made again by its number.

/// Numbers that look random and come again for the same seed (xorshift64).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..4 {
            dice.roll(2);
        }
        dice
    }

    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % sides.max(1)
    }
}

/// Words that are wrong in most places.
const WRONG: [&str; 26] = [
    "foo",
    "-1",
    "0",
    "1",
    "255",
    "256",
    "70000",
    "99999999999",
    "1.5",
    "0.001",
    "12x",
    "\"\"",
    "\"two words\"",
    "on",
    "off",
    "MASTER",
    "192.168.1.300",
    "192.168.1.5",
    "2001:db8::5",
    "fe80::1/200",
    "10.0.0.0/40",
    "eth9",
    "eth1",
    "$NOSUCH",
    "reverse",
    "weight",
];

/// Lines of many blocks, to be put where they mostly do not belong.
const STRANGERS: [&str; 20] = [
    "priority 50",
    "interface eth0",
    "virtual_router_id 9",
    "nopreempt",
    "weight 5",
    "script /usr/bin/true",
    "delay_loop 3",
    "lb_algo rr",
    "protocol TCP",
    "connect_timeout 3",
    "no_such_keyword 1 2",
    "track_interface",
    "virtual_ipaddress",
    "router_id y",
    "advert_int",
    "retry x",
    "192.168.1.77",
    "group",
    "path /",
    "min_rx 5",
];

/// The text with one thing wrong; which one, the seed tells. Some changes do no harm.
pub fn spoil(text: &str, seed: u64) -> String {
    let mut dice = Dice::new(seed);
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let busy: Vec<usize> = (0..lines.len()).filter(|at| is_busy(&lines[*at])).collect();
    let Some(&at) = busy.get(dice.roll(busy.len())) else { return format!("{text}foo bar\n") };
    let worded = || busy.iter().copied().filter(|at| words(&lines[*at]).len() > 1).collect::<Vec<_>>();
    match dice.roll(12) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        2 if at + 1 < lines.len() => lines.swap(at, at + 1),
        3..=5 => {
            let with = WRONG[dice.roll(WRONG.len())];
            if let Some(&at) = worded().get(dice.roll(worded().len())) {
                let argument = 1 + dice.roll(words(&lines[at]).len() - 1);
                lines[at] = with_word(&lines[at], argument, Some(with));
            }
        }
        6 => lines[at] = misspelt(&lines[at], &mut dice),
        7 => {
            if let Some(&at) = worded().get(dice.roll(worded().len())) {
                let argument = 1 + dice.roll(words(&lines[at]).len() - 1);
                lines[at] = with_word(&lines[at], argument, None);
            }
        }
        8 => {
            let end = lines[at].trim_end_matches(['\r', '\n']).len();
            lines[at].insert_str(end, [" extra", " 5", " {", " }", " \"", " !"][dice.roll(6)]);
        }
        9 => lines.insert(at, format!("    {}\n", STRANGERS[dice.roll(STRANGERS.len())])),
        10 => {
            let braces: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains(['{', '}'])).collect();
            if let Some(&at) = braces.get(dice.roll(braces.len())) {
                lines[at] = lines[at].replacen(['{', '}'], "", 1);
            }
        }
        _ => lines.truncate(at),
    }
    lines.concat()
}

fn is_busy(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with(['!', '#'])
}

/// Where the words of a line begin and end.
fn words(line: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut start = None;
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        quoted ^= c == '"';
        match start {
            None if !c.is_whitespace() => start = Some(at),
            Some(from) if c.is_whitespace() && !quoted => {
                found.push((from, at));
                start = None;
            }
            _ => {}
        }
    }
    found.extend(start.map(|from| (from, line.len())));
    found
}

fn with_word(line: &str, word: usize, with: Option<&str>) -> String {
    let Some(&(start, end)) = words(line).get(word) else { return line.to_owned() };
    format!("{}{}{}", &line[..start], with.unwrap_or_default(), &line[end..])
}

/// The line with one letter of its first word gone, twice there or changed.
fn misspelt(line: &str, dice: &mut Dice) -> String {
    let Some(&(start, end)) = words(line).first() else { return line.to_owned() };
    let letters: Vec<char> = line[start..end].chars().collect();
    let at = dice.roll(letters.len());
    let how = dice.roll(3);
    let word: String = letters
        .iter()
        .enumerate()
        .flat_map(|(index, letter)| match (index == at, how) {
            (true, 0) => vec![],
            (true, 1) => vec![*letter; 2],
            (true, _) => vec!['x'],
            (false, _) => vec![*letter],
        })
        .collect();
    format!("{}{word}{}", &line[..start], &line[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_spoils_the_same_way() {
        let text = "a {\n b 1\n c \"x y\" 2\n}\n";
        let all: Vec<String> = (0..200).map(|seed| spoil(text, seed)).collect();
        assert_eq!(all, (0..200).map(|seed| spoil(text, seed)).collect::<Vec<_>>());
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert!(different.len() > 60, "{}", different.len());
    }
}
