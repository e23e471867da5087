//! The characters that a text for people may hold.

/// Control characters, and characters of Unicode that turn the direction of all text up to their end: they make a name, and the
/// text around it, look like another. The marks U+061C, U+200E and U+200F stay: they move no letter, and names of Arabic and
/// Hebrew letters beside digits or points need them.
pub fn is_control(it: char) -> bool {
    it.is_control() || matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character is one that programs may ignore by Unicode (`Default_Ignorable_Code_Point`), such as joiners, marks of
/// direction, fillers, variation selectors and tags.
fn is_ignorable(it: char) -> bool {
    matches!(it,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether no character of a text is visible.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|it| it.is_whitespace() || is_ignorable(it))
}

/// Whether a text has a character that nobody sees and that no script and no emoji needs in that place: two names that look alike
/// would differ by it.
///
/// A joiner or a variation selector stays behind a visible character that it can join or vary, which is no ASCII letter; a mark
/// of direction in a text with Hebrew or Arabic letters; a tag behind the flag that it tells apart from others.
pub fn has_hidden(text: &str) -> bool {
    let is_selector = |it: char| matches!(it, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}');
    let is_tag = |it: char| matches!(it, '\u{e0020}'..='\u{e007f}');
    let from_right = text.chars().any(|it| {
        matches!(it, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
    });
    let mut before = ' ';
    text.chars().any(|it| {
        let last = std::mem::replace(&mut before, it);
        let is_shown = !last.is_whitespace() && !is_ignorable(last);
        match it {
            '\u{61c}' | '\u{200e}' | '\u{200f}' => !from_right,
            '\u{200c}' | '\u{200d}' => !(is_shown && !last.is_ascii() || is_selector(last)),
            '\u{180b}'..='\u{180d}' | '\u{180f}' => !is_shown,
            it if is_selector(it) => !is_shown || last.is_ascii_alphabetic(),
            it if is_tag(it) => !(last == '\u{1f3f4}' || is_tag(last)),
            it => is_ignorable(it),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_script_or_an_emoji_needs_may_be_hidden() {
        for text in [
            "Ann Lee",
            // Persian, with a non-joiner; Malayalam, with a joiner at the end; Mongolian, with a selector.
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}",
            "\u{d28}\u{d4d}\u{200d}",
            "\u{1820}\u{180b}",
            "\u{5d0}\u{5d1}\u{200f}.\u{200e} (3)\u{61c}",
            // A red heart, one on fire, an astronaut, a key cap, the flag of Scotland.
            "\u{2764}\u{fe0f}",
            "\u{2764}\u{fe0f}\u{200d}\u{1f525}",
            "\u{1f469}\u{200d}\u{1f680}",
            "1\u{fe0f}\u{20e3}",
            "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
        ] {
            assert!(!has_hidden(text), "{text:?}");
        }
        for text in [
            "An\u{200b}n",
            "An\u{ad}n",
            "An\u{200d}n",
            "An\u{200c}n",
            "Ann\u{feff}",
            "Ann\u{2060}",
            "Ann\u{3164}",
            "Ann\u{200e}",
            "Ann\u{fe0f}",
            "Ann\u{e0067}",
            "\u{200d}Ann",
            "é \u{200d}",
            "é\u{200d}\u{200d}",
        ] {
            assert!(has_hidden(text), "{text:?}");
        }
    }
}
