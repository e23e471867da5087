/// A language that a member can choose, numbered for the `directory` dialect.
#[derive(Debug, PartialEq, Eq)]
pub struct Language {
    pub id: u32,
    /// ISO 639-1.
    pub code: &'static str,
    pub name: &'static str,
}

/// Numbers are never used again; new languages are added at the end.
const LANGUAGES: [Language; 16] = [
    Language { id: 1, code: "en", name: "English" },
    Language { id: 2, code: "sv", name: "Svenska" },
    Language { id: 3, code: "da", name: "Dansk" },
    Language { id: 4, code: "nb", name: "Norsk bokmål" },
    Language { id: 5, code: "fi", name: "Suomi" },
    Language { id: 6, code: "de", name: "Deutsch" },
    Language { id: 7, code: "fr", name: "Français" },
    Language { id: 8, code: "es", name: "Español" },
    Language { id: 9, code: "it", name: "Italiano" },
    Language { id: 10, code: "pt", name: "Português" },
    Language { id: 11, code: "nl", name: "Nederlands" },
    Language { id: 12, code: "pl", name: "Polski" },
    Language { id: 13, code: "uk", name: "Українська" },
    Language { id: 14, code: "ja", name: "日本語" },
    Language { id: 15, code: "ko", name: "한국어" },
    Language { id: 16, code: "zh", name: "中文" },
];

impl Language {
    pub fn codes() -> Vec<&'static str> {
        LANGUAGES.iter().map(|language| language.code).collect()
    }

    pub fn by_code(code: &str) -> Option<&'static Language> {
        LANGUAGES.iter().find(|language| language.code == code)
    }
}
