//! Chromium, through the driver in `browser/`.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::program::run;
use crate::server::Server;

/// A browser with one page. It ends when it is dropped.
#[derive(Debug)]
pub struct Page {
    driver: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Where a picture goes of what was on the page when something failed.
    exhibit: PathBuf,
}

impl Page {
    /// Starts the browser and opens an address. `name` names what is left for people to look at.
    pub fn open(url: &str, name: &str) -> Self {
        let mut command = Command::new("node");
        command.arg(script("drive.mjs")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut driver = command.spawn().expect("node is installed");
        let commands = driver.stdin.take();
        let answers = BufReader::new(driver.stdout.take().expect("it is piped"));
        let exhibit = crate::exhibits().join(format!("{name}-failed.png"));
        let mut page = Self { driver, commands, answers, exhibit };
        page.tell(json!({ "do": "open", "url": url }));
        page
    }

    /// Has the driver do something, and gives its answer.
    ///
    /// # Panics
    /// Where that fails, with what the page measured then.
    fn tell(&mut self, mut command: Value) -> Value {
        command["exhibit"] = json!(self.exhibit);
        let commands = self.commands.as_mut().expect("it is taken only when the page is dropped");
        writeln!(commands, "{command}").expect("the driver listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the driver answers");
        let answer: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("{command}: the driver said {line:?}"));
        assert!(answer["error"].is_null(), "{command}: {answer:#}");
        answer["ok"].clone()
    }

    /// Waits until the player is in this phase: `playing`, `stalled`.
    pub fn phase(&mut self, name: &str) -> Value {
        self.tell(json!({ "do": "phase", "name": name }))
    }

    /// Waits until the page says something across the picture, and gives what the player measures then.
    pub fn says(&mut self, text: &str) -> Value {
        self.tell(json!({ "do": "says", "text": text }))
    }

    /// Chooses the quality of this height, and waits until it is on screen.
    pub fn level(&mut self, pixels: u32) -> Value {
        self.tell(json!({ "do": "level", "pixels": pixels }))
    }

    /// Leaves the quality to the player.
    pub fn automatic(&mut self) {
        self.tell(json!({ "do": "automatic" }));
    }

    /// Lets so many bits per second through to the page, or as many as come.
    pub fn throttle(&mut self, bitrate: Option<u32>) {
        self.tell(json!({ "do": "throttle", "bitrate": bitrate }));
    }

    /// Waits until the picture on screen is so high.
    pub fn height(&mut self, pixels: u32) -> Value {
        self.tell(json!({ "do": "height", "pixels": pixels }))
    }

    /// Waits until the player offers a quality of this height, or no longer does.
    pub fn offers(&mut self, pixels: u32, offered: bool) -> Value {
        self.tell(json!({ "do": "offers", "pixels": pixels, "offered": offered }))
    }

    /// What the player measures now.
    pub fn state(&mut self) -> Value {
        self.tell(json!({ "do": "state" }))
    }

    /// Watches for so many seconds.
    pub fn watch(&mut self, seconds: u32) -> Value {
        self.tell(json!({ "do": "watch", "seconds": seconds }))
    }

    /// The middle one of the [latencies](Self::latencies).
    pub fn clock(&mut self, times: usize) -> f64 {
        let mut latencies = self.latencies(times);
        latencies.sort_by(f64::total_cmp);
        latencies[latencies.len() / 2]
    }

    /// The latencies, from paint to screen, that the clock in so many pictures gives. Milliseconds.
    pub fn latencies(&mut self, times: usize) -> Vec<f64> {
        let answer = self.tell(json!({ "do": "clock", "times": times }));
        answer.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    }

    /// Chooses what to play over, `moq` or `hls`, with sound, and waits until it plays over that.
    pub fn protocol(&mut self, name: &str) -> Value {
        self.tell(json!({ "do": "protocol", "name": name }))
    }

    /// Opens the publish page and sends the browser's own camera and microphone to the broadcast of this name. Gives what the page says
    /// once the server has taken it, or why it has not.
    pub fn publish(&mut self, url: &str, name: &str, token: &str) -> Value {
        self.tell(json!({ "do": "publish", "url": url, "name": name, "token": token }))
    }

    /// Ends publishing, and gives what the page said before.
    pub fn unpublish(&mut self) -> Value {
        self.tell(json!({ "do": "unpublish" }))
    }

    /// Leaves a picture of the page, and gives mean and standard deviation of the brightness of its video, 0 to 255.
    pub fn screenshot(&mut self, name: &str) -> (f64, f64) {
        let path = crate::exhibits().join(format!("{name}.png"));
        let seen = self.tell(json!({ "do": "screenshot", "path": path }));
        (seen["mean"].as_f64().expect("a number"), seen["deviation"].as_f64().expect("a number"))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // The driver ends with its input, and closes the browser.
        drop(self.commands.take());
        let _ = self.driver.wait();
    }
}

/// Reads a broadcast's playlists with hls-parser, which insists on the rules, and gives what it understood.
pub fn checked_playlists(url: &str) -> Value {
    let text = run("node", [script("playlists.mjs").as_os_str(), OsStr::new(url)]);
    serde_json::from_str(&text).expect("the script prints JSON")
}

/// Objects of so many groups of a track, read in a browser with @moqt/webtransport.
pub fn read_objects(server: &str, broadcast: &str, track: &str, groups: usize) -> Value {
    let (script, groups) = (script("objects.mjs"), groups.to_string());
    let arguments = [script.as_os_str(), server.as_ref(), broadcast.as_ref(), track.as_ref(), groups.as_ref()];
    serde_json::from_str(&run("node", arguments)).expect("the script prints JSON")
}

/// What the stock player of @moq/watch saw and heard of a broadcast in so many seconds.
pub fn watch_with_stock_player(server: &str, broadcast: &str, seconds: u32) -> Value {
    let (script, seconds) = (script("stock.mjs"), seconds.to_string());
    let arguments = [script.as_os_str(), server.as_ref(), broadcast.as_ref(), seconds.as_ref()];
    serde_json::from_str(&run("node", arguments)).expect("the script prints JSON")
}

/// What hls.js knows of a broadcast's events until the frame shows white in its upper left corner: the date ranges, when each was first
/// listed, the cues of its metadata tracks, and the times of the first white frame that was seen and of the one seen before it. Times are those of the video element, in seconds.
pub fn watch_cues(server: &str, broadcast: &str) -> Value {
    let script = script("cues.mjs");
    let arguments = [script.as_os_str(), server.as_ref(), broadcast.as_ref()];
    serde_json::from_str(&run("node", arguments)).expect("the script prints JSON")
}

/// What pages are answered that publish the stream in a file: one of another port of this machine, one of a name that is pointed here, and
/// the server's own.
pub fn publish_from_pages(server: &Server, file: &OsStr) -> Value {
    let (script, origin) = (script("foreign.mjs"), server.url(""));
    serde_json::from_str(&run("node", [script.as_os_str(), origin.as_ref(), file])).expect("the script prints JSON")
}

fn script(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = folder.join("node_modules");
    assert!(packages.exists(), "there is no {}: run `make setup` first", packages.display());
    folder.join("browser").join(name)
}
