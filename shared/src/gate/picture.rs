//! Pictures of members. Each is an item of its own, with the picture as a data URI.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::member::picture::{Picture, TYPES};
use domain::{Member, MemberEdit, Patch, Problem};

use super::facts::{Unseen, View};
use super::plan::Plan;

/// The most bytes of a picture as a data URI: an item of the table has room for it.
pub const MAX_DATA_URI: usize = 256 * 1024;

/// The most bytes of a picture: as many as a data URI of the longest type has room for.
pub const MAX_PICTURE: usize = (MAX_DATA_URI - "data:image/jpeg;base64,".len()) / 4 * 3;

/// A picture for a member.
pub struct NewPicture {
    pub about: Picture,
    pub data_uri: String,
}

impl NewPicture {
    /// `None` if the content is no picture, as its first bytes tell.
    pub fn of(content: &[u8]) -> Option<Self> {
        let about = Picture::of(content)?;
        let data_uri = format!("data:{};base64,{}", about.media_type, BASE64_STANDARD.encode(content));
        Some(Self { about, data_uri })
    }

    /// The same from a data URI in base64. What it says of the type does not count.
    pub fn of_data_uri(text: &str) -> Option<Self> {
        content_of(text).and_then(|content| Self::of(&content))
    }
}

fn content_of(data_uri: &str) -> Option<Vec<u8>> {
    let (media_type, base64) = data_uri.strip_prefix("data:")?.split_once(";base64,")?;
    let is_picture = TYPES.contains(&media_type);
    is_picture.then(|| BASE64_STANDARD.decode(base64).ok()).flatten()
}

impl<'f> Plan<'f> {
    /// Gives a member a picture, or takes it.
    ///
    /// # Errors
    /// A defect: the picture is no item.
    pub fn set_picture(&mut self, member: Unseen<'f, Member>, picture: Option<&NewPicture>) -> Result<Member, Problem> {
        let about = picture.map_or(Patch::Clear, |picture| Patch::Set(picture.about.clone()));
        let after = self.update(member, &MemberEdit { picture: about, ..MemberEdit::default() });
        let (user, data_uri) = (after.user, picture.map(|picture| picture.data_uri.clone()));
        let key = self.facts.keys.picture(user);
        // Nothing is written if the member has this picture already.
        if let (Some(written), Some(data_uri)) = (self.written.last_mut(), &data_uri) {
            written.picture(&key, data_uri)?;
        }
        self.pictures.insert(user, data_uri);
        Ok(after)
    }
}

impl View<'_> {
    /// What is known of the picture, and its content. [`Reads`](super::Reads) must ask for it.
    pub fn picture(&self) -> Option<(Picture, Vec<u8>)> {
        let content = content_of(self.picture?)?;
        Some((Picture::of(&content)?, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_picture_fits_into_the_longest_data_uri() {
        let content = |bytes: usize| [&b"\xff\xd8\xff"[..], &vec![7; bytes - 3]].concat();
        let longest = NewPicture::of(&content(MAX_PICTURE)).unwrap();
        assert!((MAX_DATA_URI - 3..=MAX_DATA_URI).contains(&longest.data_uri.len()));
        assert!(NewPicture::of(&content(MAX_PICTURE + 1)).unwrap().data_uri.len() > MAX_DATA_URI);
        let again = NewPicture::of_data_uri(&longest.data_uri).unwrap();
        assert_eq!((again.data_uri, again.about), (longest.data_uri, longest.about));
    }

    #[test]
    fn a_data_uri_is_of_a_picture_and_its_content_tells_the_type() {
        let gif = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
        let told = NewPicture::of_data_uri(&format!("data:image/png;base64,{gif}")).unwrap();
        assert_eq!(told.data_uri, format!("data:image/gif;base64,{gif}"));
        for wrong in [
            String::new(),
            gif.to_owned(),
            format!("data:image/gif,{gif}"),
            format!("data:image/svg+xml;base64,{gif}"),
            format!("data:text/html;base64,{gif}"),
            format!("data:image/gif;base64,{gif}="),
            "data:image/gif;base64,".to_owned(),
            "data:image/gif;base64,PHN2Zy8+".to_owned(),
        ] {
            assert!(NewPicture::of_data_uri(&wrong).is_none(), "{wrong}");
        }
    }
}
