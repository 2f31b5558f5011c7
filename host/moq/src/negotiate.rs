//! Which stack speaks with a client.

/// The WebTransport protocol, and the ALPN, of draft-ietf-moq-transport-18.
pub const MOQT_18: &str = "moqt-18";

/// Versions in which all of a session's requests share one stream.
const ONE_STREAM: [&str; 4] = ["moql", "moq-00", "moqt-15", "moqt-16"];

/// What a client and the server agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// IETF MoQ Transport, draft 18.
    Transport,
    /// A version of moq-lite, or another draft of MoQ Transport, by its ALPN.
    Net(&'static str),
}

impl Protocol {
    /// The protocol's name as it is echoed to the client.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transport => MOQT_18,
            Self::Net(name) => name,
        }
    }

    /// The protocol of this name.
    pub fn of(name: &str) -> Option<Self> {
        if name == MOQT_18 {
            return Some(Self::Transport);
        }
        moq_net::ALPNS.iter().find(|known| **known == name).map(|known| Self::Net(known))
    }

    /// Every protocol, in the same order, with `moq-net` for all of them: for clients whose work is written for it.
    pub fn all_net() -> impl Iterator<Item = Self> {
        Self::all().map(|protocol| Self::Net(protocol.name()))
    }

    /// What the server speaks, the preferred ones first: all but those in which a session's requests share one stream, so that QUIC
    /// bounds neither them nor the answers that a client does not read (drafts before 17, and `moql`, which may turn out to be one).
    pub fn served() -> impl Iterator<Item = Self> {
        Self::all().filter(|protocol| !ONE_STREAM.contains(&protocol.name()))
    }

    /// Every protocol, the preferred ones first: moq-lite, then draft 18, then the other drafts.
    pub fn all() -> impl Iterator<Item = Self> {
        let lite = |name: &&&'static str| is_lite(name);
        let others = |name: &&&'static str| !is_lite(name) && **name != MOQT_18;
        let net = |name: &&'static str| Self::Net(name);
        let (first, last) = (moq_net::ALPNS.iter().filter(lite), moq_net::ALPNS.iter().filter(others));
        first.map(net).chain([Self::Transport]).chain(last.map(net))
    }
}

/// The best of what a client offers, or none where nothing of it is known.
pub fn choose<'a>(offered: impl IntoIterator<Item = &'a str> + Clone) -> Option<Protocol> {
    Protocol::served().find(|known| offered.clone().into_iter().any(|name| name == known.name()))
}

fn is_lite(name: &str) -> bool {
    name.starts_with("moq-lite") || name == "moql"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_draft_18_alone_is_spoken_to_by_moq_transport() {
        assert_eq!(choose(["moqt-18"]), Some(Protocol::Transport));
        assert_eq!(choose(["moqt-17", "moqt-18"]), Some(Protocol::Transport));
    }

    #[test]
    fn moq_lite_comes_first_where_it_is_offered() {
        assert_eq!(choose(["moqt-18", "moq-lite-04"]), Some(Protocol::Net("moq-lite-04")));
        assert_eq!(choose(["moq-lite-03", "moq-lite-05"]), Some(Protocol::Net("moq-lite-05")));
    }

    #[test]
    fn other_drafts_are_spoken_too() {
        assert_eq!(choose(["moqt-17"]), Some(Protocol::Net("moqt-17")));
        assert_eq!(choose(["moqt-20", "moqt-17"]), Some(Protocol::Net("moqt-20")));
    }

    #[test]
    fn what_is_not_known_is_not_chosen() {
        assert_eq!(choose(["moqt-99", "webrtc", ""]), None);
        assert_eq!(choose([]), None);
    }

    #[test]
    fn versions_whose_requests_share_a_stream_are_for_clients_alone() {
        for name in ONE_STREAM {
            assert_eq!(choose([name]), None);
            assert!(Protocol::of(name).is_some(), "{name}");
        }
    }

    #[test]
    fn every_protocol_is_found_by_its_name() {
        for protocol in Protocol::all() {
            assert_eq!(Protocol::of(protocol.name()), Some(protocol));
        }
    }
}
