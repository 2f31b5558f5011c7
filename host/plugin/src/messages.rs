//! What operators send to the instances of a plugin.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use millrace_media::{BroadcastName, TrackName};
use tokio::sync::oneshot;

use crate::hook::Hook;
use crate::inbox::{Inbox, Message};
use crate::plugin::Plugin;

/// The longest message and the longest reply, in bytes.
pub const MAX_MESSAGE: usize = 64 << 10;

/// Which instances a message is for: those that everything given here is true of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addressees {
    /// The hook they are of.
    pub hook: Option<Hook>,
    /// The broadcast they are made for.
    pub broadcast: Option<BroadcastName>,
    /// The track they are made for.
    pub track: Option<TrackName>,
}

/// What one instance answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The hook it is of.
    pub hook: Hook,
    /// The broadcast it is made for; none for the whole server.
    pub broadcast: Option<BroadcastName>,
    /// The track it is made for; none for the whole broadcast.
    pub track: Option<TrackName>,
    /// The rendition it is made for.
    pub rendition: Option<Arc<str>>,
    /// What it has returned, or why there is nothing.
    pub reply: Result<Vec<u8>, String>,
}

/// Why a message was given to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// It is too long.
    #[error("the message has {0} bytes (expected at most {MAX_MESSAGE})")]
    TooLong(usize),
    /// The plugin cannot be sent messages.
    #[error("the plugin takes no messages: it does not export `messages`")]
    NoMessages,
    /// There is no such instance now.
    #[error("no instance of the plugin is at work that the message is for")]
    NoInstance,
    /// As many messages wait for each of them as may.
    #[error("as many messages wait for the instances of the plugin as may: try again later")]
    Full,
}

impl Addressees {
    fn are(&self, inbox: &Inbox) -> bool {
        let names = inbox.names();
        self.hook.is_none_or(|hook| hook == inbox.hook())
            && (self.broadcast.is_none() || self.broadcast == names.broadcast)
            && (self.track.is_none() || self.track == names.track)
    }
}

impl Plugin {
    /// Sends a message to instances, and waits for their answers, each for no longer than `within`. A message that nobody waits for any more is
    /// not delivered.
    ///
    /// # Errors
    /// Where no instance is given it.
    pub async fn send(&self, to: &Addressees, message: Bytes, within: Duration) -> Result<Vec<Reply>, NotSent> {
        if message.len() > MAX_MESSAGE {
            return Err(NotSent::TooLong(message.len()));
        }
        if !self.hooks().messages {
            return Err(NotSent::NoMessages);
        }
        let mut inboxes = self.loaded.reach.inboxes.list();
        inboxes.retain(|inbox| to.are(inbox));
        if inboxes.is_empty() {
            return Err(NotSent::NoInstance);
        }
        inboxes.sort_by(|a, b| a.key().cmp(&b.key()));
        let sent: Vec<_> = inboxes
            .into_iter()
            .map(|inbox| {
                let (reply, replied) = oneshot::channel();
                let sent = inbox.send(Message { bytes: message.clone(), reply });
                (inbox, sent.map(|()| replied))
            })
            .collect();
        if sent.iter().all(|(_, sent)| sent.is_err()) {
            return Err(NotSent::Full);
        }
        let replies = sent.into_iter().map(|(inbox, sent)| {
            let (hook, names) = (inbox.hook(), inbox.names().clone());
            // Not kept while it is waited for: it ends with its instance.
            drop(inbox);
            async move {
                let reply = match sent {
                    Err(full) => Err(full.to_string()),
                    Ok(replied) => match tokio::time::timeout(within, replied).await {
                        Ok(Ok(reply)) => reply,
                        Ok(Err(_)) => Err("the instance has ended".into()),
                        Err(_) => Err(format!("there is no answer after {} ms", within.as_millis())),
                    },
                };
                Reply { hook, broadcast: names.broadcast, track: names.track, rendition: names.rendition, reply }
            }
        });
        Ok(join_all(replies).await)
    }
}
