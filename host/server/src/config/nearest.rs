//! The word that was probably meant.

use std::cmp::Reverse;

/// The candidate fewest edits away (insertion, deletion, replacement, or two letters swapped), if it is near enough to be a slip: one
/// edit, or one in three letters. Of several as near, the one whose ends are the word's.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, candidate)| (*edits, Reverse(common_ends(word, candidate))))
        .map(|(_, candidate)| candidate)
}

/// How many letters two words have in common at their beginnings and ends.
fn common_ends(a: &str, b: &str) -> usize {
    let same = |(a, b): &(char, char)| a == b;
    a.chars().zip(b.chars()).take_while(same).count() + a.chars().rev().zip(b.chars().rev()).take_while(same).count()
}
