//! The characters that a text for people may hold.

/// Control characters, and characters of Unicode that turn the direction of all text up to their end: they make a name, and the
/// text around it, look like another. The marks U+061C, U+200E and U+200F stay: they move no letter, and names of Arabic and
/// Hebrew letters beside digits or points need them.
pub fn is_control(it: char) -> bool {
    it.is_control() || matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether no character of a text is visible: it has only spaces, and characters that programs may ignore by Unicode
/// (`Default_Ignorable_Code_Point`), such as joiners, marks of direction, fillers, variation selectors and tags.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|it| {
        it.is_whitespace()
            || matches!(it,
                '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
    })
}
