//! What plugins have written to the log.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

use crate::host::until;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        Self
    }
}

/// From here on the log is kept.
pub(crate) fn keep() {
    static KEPT: Once = Once::new();
    KEPT.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(Log).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// The lines of a plugin so far.
pub(crate) fn lines(plugin: &str) -> Vec<String> {
    let log = String::from_utf8(LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap();
    let of = format!("plugin=\"{plugin}\"");
    log.lines().filter(|line| line.contains(&of)).map(String::from).collect()
}

/// The first line of a plugin that contains `text`, which may have yet to come.
pub(crate) async fn logged(plugin: &str, text: &str) -> String {
    let find = || lines(plugin).into_iter().find(|line| line.contains(text));
    until(&format!("{plugin} logs {text:?}"), || find().is_some()).await;
    find().unwrap()
}
