//! The commands of the README, so that what it tells people is what is tested.

use crate::root;

/// How ffmpeg may push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One endless request, a chunk for each picture.
    Endless,
    /// DASH, a request for each segment, a chunk for each picture.
    Dash,
    /// HLS, a segment at a time.
    Hls,
    /// Smooth Streaming, one endless request, a group at a time.
    Smooth,
}

impl Form {
    /// The arguments that the README gives ffmpeg for this form: after `-i film.mp4`, before the address.
    ///
    /// # Panics
    /// Where the README has no such command.
    pub fn options(self) -> Vec<String> {
        let words = self.command();
        let input = words.iter().position(|word| word == "film.mp4").expect("the README pushes film.mp4");
        words[input + 1..words.len() - 1].to_vec()
    }

    /// The last element of the address, such as `stream.mp4`.
    pub fn file_name(self) -> String {
        let words = self.command();
        let url = words.last().expect("a command has words");
        url.rsplit('/').next().expect("an address has a path").to_owned()
    }

    fn command(self) -> Vec<String> {
        let readme = std::fs::read_to_string(root().join("README.md")).expect("there is a README");
        let format = match self {
            Self::Endless => "mp4",
            Self::Dash => "dash",
            Self::Hls => "hls",
            Self::Smooth => "ismv",
        };
        let blocks = readme.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
        let commands = blocks.map(|block| block.replace("\\\n", " ").replace('"', ""));
        let words = |command: String| command.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let found = commands.map(words).find(|words| words.windows(2).any(|pair| pair == ["-f", format]));
        found.unwrap_or_else(|| panic!("the README has no command with `-f {format}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_says_how_to_push_each_form() {
        assert_eq!(Form::Endless.file_name(), "stream.mp4");
        assert_eq!(Form::Dash.file_name(), "live.mpd");
        assert_eq!(Form::Hls.file_name(), "live.m3u8");
        assert_eq!(Form::Smooth.file_name(), "stream.ismv");
        for form in [Form::Endless, Form::Dash, Form::Hls, Form::Smooth] {
            assert!(form.options().contains(&"-method".to_owned()), "{form:?}: {:?}", form.options());
        }
    }
}
