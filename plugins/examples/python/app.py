"""Measures the GOPs of each video track, and raises an alarm while they are longer than `max_gop_seconds` of the settings."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import log
from wit_world.imports.log import Level
from wit_world.imports.media import Context, Decision, Description, Fragment, Loss, Track
from wit_world.imports.types import Error_Closed, TrackKind

from gops import Gops
from settings import Settings


# Each call has a new object of the classes below, so that what is to be kept lives in the module.

# What the operator asked for. Set by `start`.
settings = Settings()
# The track that is measured. An instance with the scope `track` has one track at a time.
gops: Gops | None = None


class About(exports.About):
    def describe(self, settings: str, about: Description) -> None:
        # Settings that are refused here never reach an instance.
        Settings.parse(settings)
        about.want("transcoder", TrackKind.VIDEO)
        about.set_scope("transcoder", "track")
        about.set_summary("Measures GOPs, and raises an alarm while they are too long")


class Transcoder(exports.Transcoder):
    def start(self, context: Context) -> None:
        global settings
        settings = Settings.parse(context.settings())
        limit = settings.max_gop_seconds
        log.write(Level.INFO, f"watching {context.broadcast()} for GOPs longer than {limit:g} s")

    def on_track(self, track: Track) -> Decision:
        global gops
        # A source that has changed comes again: its metrics are opened anew.
        close()
        gops = Gops(track.timescale(), settings)
        return Decision.ACCEPT

    def on_fragment(self, fragment: Fragment) -> None:
        if gops is None:
            raise Err(Error_Closed())
        gops.add(fragment.info())

    def on_gap(self, loss: Loss) -> None:
        log.write(Level.DEBUG, f"{loss.skipped()} fragments are missing: {loss.cause()}")
        if gops is not None:
            gops.forget_group()

    def on_track_end(self, track: int, why: str) -> None:
        close()

    def stop(self, why: str) -> None:
        pass


def close() -> None:
    """Ends the measurement of the track, where there is one."""
    global gops
    if gops is not None:
        gops.close()
        gops = None
