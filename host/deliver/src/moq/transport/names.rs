//! Names of broadcasts as namespaces: a field an element.

use millrace_media::BroadcastName;
use moq_transport::coding::TrackNamespace;

/// The namespace that a name is served as; none of one with more elements than a namespace has fields.
pub(super) fn namespace(name: &BroadcastName) -> Option<TrackNamespace> {
    TrackNamespace::try_from(name.as_str()).ok()
}

/// The name that a namespace stands for, not checked yet; none of one that is no text.
pub(super) fn name(namespace: &TrackNamespace) -> Option<String> {
    let fields = namespace.fields.iter().map(|field| std::str::from_utf8(&field.value).ok());
    Some(fields.collect::<Option<Vec<_>>>()?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_field_an_element_and_back() {
        let demo = BroadcastName::new("live/demo").unwrap();
        let space = namespace(&demo).unwrap();
        assert_eq!(space.fields.len(), 2);
        assert_eq!(name(&space).as_deref(), Some("live/demo"));
        let deep = BroadcastName::new(&["x"; 33].join("/")).unwrap();
        assert_eq!(namespace(&deep), None);
    }
}
