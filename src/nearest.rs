//! What the user may have meant: the nearest of the words there are, and the words in which that is said.

use crate::text;

/// What to do about `word`, which is none of `candidates`: take the nearest, else one of them.
pub fn advice(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(near) => did_you_mean(near),
        None => there_are(candidates),
    }
}

/// The question whether `near` was meant.
pub fn did_you_mean(near: &str) -> String {
    format!("did you mean {near}?")
}

/// What there is to choose from.
pub fn there_are(candidates: &[&str]) -> String {
    match candidates {
        [] => "there is none".to_owned(),
        all => format!("expected one of {}", text::list(all)),
    }
}

/// The word of `candidates` that is nearest to `word`, if any is near enough to be a slip of the finger: at most a
/// third of its letters wrong.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out, changed or swapped with their neighbour to make `a` into `b`
/// (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut cost = (above[j] + 1)
                .min(row[j - 1] + 1)
                .min(above[j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before[j - 2] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised() {
        let words = ["gopass", "env", "age", "vault"];
        for (word, near) in [
            ("gopas", Some("gopass")),
            ("evn", Some("env")),
            ("vualt", Some("vault")),
            ("ag", Some("age")),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, words), near, "{word}");
        }
    }

    #[test]
    fn advice_is_the_nearest_word_or_all_of_them() {
        assert_eq!(advice("evn", &["gopass", "env"]), "did you mean env?");
        assert_eq!(
            advice("xyz", &["gopass", "env"]),
            "expected one of gopass, env"
        );
        assert_eq!(advice("xyz", &[]), "there is none");
    }
}
