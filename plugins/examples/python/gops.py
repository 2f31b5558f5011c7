"""The GOPs of one track, and the metrics and the alarm made of them."""

from contextlib import ExitStack
from dataclasses import dataclass

from wit_world.imports.media import Info
from wit_world.imports.metrics import Alarm, Counter, Gauge, Histogram, Labels

from settings import Settings

FRAGMENT_BYTES = [1e3, 4e3, 16e3, 64e3, 256e3, 1e6, 4e6]
"""Upper bounds of the sizes of fragments, in bytes."""


@dataclass
class Group:
    """What has come of a group so far. Times are in ticks."""

    number: int
    start: int
    end: int
    size: int = 0


class Gops:
    """Measures one track."""

    def __init__(self, timescale: int, settings: Settings) -> None:
        self.timescale = timescale
        self.settings = settings
        # The group in progress: there is none before the first, and after a gap.
        self.group: Group | None = None
        self.alarm_raised = False
        by = Labels.BROADCAST | Labels.TRACK
        with ExitStack() as handles:
            self.groups = handles.enter_context(Counter.open("groups", by, []))
            self.gop_seconds = handles.enter_context(Gauge.open("gop_seconds", by, []))
            self.bitrate_bps = handles.enter_context(Gauge.open("bitrate_bps", by, []))
            self.fragment_bytes = handles.enter_context(Histogram.open("fragment_bytes", by, [], FRAGMENT_BYTES))
            self.long_gop = handles.enter_context(Alarm.open("long_gop"))
            # Kept open past this block, unless one of them could not be opened.
            self.handles = handles.pop_all()

    def add(self, fragment: Info) -> None:
        """Takes the next fragment. The first fragment of a group ends the group before it."""
        self.fragment_bytes.observe(fragment.size)
        if self.group is not None and self.group.number != fragment.group:
            self.count(self.group)
            self.group = None
        if self.group is None:
            self.group = Group(fragment.group, fragment.decode_time, fragment.decode_time)
        self.group.end = fragment.decode_time + fragment.duration
        self.group.size += fragment.size
        # The alarm does not wait for the end of a group: it may never come.
        limit = self.settings.max_gop_seconds
        if self.seconds(self.group) > limit and not self.alarm_raised:
            self.long_gop.raise_(f"a GOP is longer than {limit:g} s")
            self.alarm_raised = True

    def forget_group(self) -> None:
        """Forgets the group in progress: after a gap its length is not known."""
        self.group = None

    def close(self) -> None:
        """Drops the handles. That takes the values of the gauges out and clears the alarm."""
        self.handles.close()

    def count(self, group: Group) -> None:
        """Counts a group that is complete."""
        seconds = self.seconds(group)
        self.groups.add(1)
        self.gop_seconds.set(seconds)
        if seconds > 0:
            self.bitrate_bps.set(group.size * 8 / seconds)
        if seconds <= self.settings.max_gop_seconds and self.alarm_raised:
            self.long_gop.clear()
            self.alarm_raised = False

    def seconds(self, group: Group) -> float:
        """The length of a group so far."""
        return (group.end - group.start) / self.timescale
