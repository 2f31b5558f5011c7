//! Groups that `moq-net` keeps no longer, out of the bus's window.

use millrace_media::Fragment;
use millrace_media::calendar::Group;
use millrace_media::track::{Event, Next, Start, Track};
use moq_net::{Error, group};

use super::groups::Open;

/// Answers a request for a group: with the whole of it, or not at all.
pub(super) fn answer(request: group::Request, source: &Track) {
    let Some(objects) = whole(source, Group(request.sequence())) else {
        request.reject(Error::NotFound);
        return;
    };
    let first = usize::try_from(request.frame_start()).unwrap_or(usize::MAX);
    // Somebody else may have brought it, or the track have ended, meanwhile.
    let Ok(group) = request.accept(None) else { return };
    let mut open = Open::new(group);
    for object in objects.iter().skip(first) {
        if open.write(object).is_err() {
            open.cut();
            return;
        }
    }
    open.finish();
}

/// The objects of a group that is complete.
fn whole(source: &Track, number: Group) -> Option<Vec<Fragment>> {
    let mut consumer = source.subscribe(Start::Group(number));
    let mut objects: Vec<Fragment> = Vec::new();
    loop {
        match consumer.try_next() {
            Next::Ready(Event::Fragment(fragment)) if fragment.place().group == number => objects.push(fragment),
            Next::Ready(Event::Fragment(_) | Event::GroupEnd) | Next::Ended => {
                return (!objects.is_empty()).then_some(objects);
            }
            Next::Ready(Event::Gap { .. }) | Next::Pending => return None,
        }
    }
}
