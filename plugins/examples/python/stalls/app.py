"""Raises the alarm `stalled` while no fragment of a video track comes, and answers messages about it.

Nobody calls a plugin whose source is silent. So it asks for a call at a time of its own (`timers`), looks then whether a fragment has come,
and asks for the next. A message is `status` or `reset`; the reply is JSON.
"""

import json
from dataclasses import dataclass

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import timers
from wit_world.imports.media import Context, Decision, Description, Fragment, Loss, Track
from wit_world.imports.metrics import Alarm
from wit_world.imports.types import Error_Closed, Error_Invalid, TrackKind


@dataclass
class Watch:
    """What an instance knows of its track."""

    # A source that sends nothing for so long has stalled. In milliseconds.
    after: int
    alarm: Alarm
    fragments: int = 0
    # `fragments` when it was looked last.
    fragments_before: int = 0
    stalls: int = 0
    stalled: bool = False


# Each call has a new object of the classes below, so that what is to be kept lives in the module. Set by `start`.
held: Watch | None = None


def watch() -> Watch:
    if held is None:
        raise Err(Error_Closed())
    return held


def parse(settings: str) -> int:
    """`stall_ms` of the settings: 100 to 600000, 2000 where it is not given."""
    given = json.loads(settings).get("stall_ms", 2000)
    if type(given) is not int or not 100 <= given <= 600_000:
        raise Err(Error_Invalid(f"`stall_ms` is {given}, expected 100 to 600000"))
    return given


class About(exports.About):
    def describe(self, settings: str, about: Description) -> None:
        parse(settings)
        about.want("transcoder", TrackKind.VIDEO)
        about.set_summary("Raises an alarm while a source sends nothing")


class Transcoder(exports.Transcoder):
    def start(self, context: Context) -> None:
        global held
        held = Watch(parse(context.settings()), Alarm.open("stalled"))
        # Without the grant `timers` this is an error, which the log shows.
        timers.wake_after(held.after)

    def on_track(self, track: Track) -> Decision:
        return Decision.ACCEPT

    def on_fragment(self, fragment: Fragment) -> None:
        state = watch()
        state.fragments += 1
        if state.stalled:
            state.stalled = False
            state.alarm.clear()

    def on_gap(self, loss: Loss) -> None:
        pass

    def on_track_end(self, track: int, why: str) -> None:
        pass

    def stop(self, why: str) -> None:
        pass


class Wake(exports.Wake):
    def on_wake(self, ticket: int) -> None:
        state = watch()
        if state.fragments == state.fragments_before and not state.stalled:
            state.stalled = True
            state.stalls += 1
            state.alarm.raise_(f"nothing has come for {state.after} ms")
        state.fragments_before = state.fragments
        timers.wake_after(state.after)


class Messages(exports.Messages):
    def on_message(self, message: bytes) -> bytes:
        state = watch()
        if message == b"reset":
            state.stalls = 0
        elif message != b"status":
            raise Err(Error_Invalid("unknown message (expected status or reset)"))
        return json.dumps({"fragments": state.fragments, "stalls": state.stalls, "stalled": state.stalled}).encode()
