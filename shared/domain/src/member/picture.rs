//! What is known of a member's picture.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::hex;

/// The types that a picture can have. SVG is none of them: it is a document that can run scripts.
pub const TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/gif"];

/// What a member's item tells of their picture. The picture itself is an item of its own, because each request reads members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// One of [`TYPES`], by the content.
    pub media_type: String,
    /// The number of its bytes.
    pub size: u32,
    /// The SHA-256 of its bytes, in hex.
    pub sha256: String,
}

impl Picture {
    /// `None` if the first bytes are those of no type of [`TYPES`].
    pub fn of(content: &[u8]) -> Option<Self> {
        let media_type = match content {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
            _ => return None,
        };
        Some(Self {
            media_type: media_type.to_owned(),
            size: u32::try_from(content.len()).ok()?,
            sha256: hex(&Sha256::digest(content)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_type() {
        let types: [(&[u8], &str); 5] = [
            (b"\x89PNG\r\n\x1a\n\0\0", "image/png"),
            (b"\xff\xd8\xff\xe0\0", "image/jpeg"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
            (b"GIF87a\x01", "image/gif"),
            (b"GIF89a\x01", "image/gif"),
        ];
        for (content, media_type) in types {
            let picture = Picture::of(content).unwrap();
            assert_eq!((picture.media_type.as_str(), picture.size as usize), (media_type, content.len()));
            assert!(TYPES.contains(&media_type) && picture.sha256.len() == 64);
            assert_eq!(Picture::of(&content[..2]), None);
            assert_eq!(Picture::of(&[b" ", content].concat()), None);
        }
        let others: [&[u8]; 6] =
            [b"", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", b"<html>", b"GIF90a", b"RIFF\x24\0\0\0WAVE", b"BM"];
        for other in others {
            assert_eq!(Picture::of(other), None);
        }
    }
}
