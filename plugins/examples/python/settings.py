"""The plugin's part of the configuration."""

import json
import math
from dataclasses import dataclass
from typing import Self

from componentize_py_types import Err
from wit_world.imports.types import Error_Invalid


@dataclass(frozen=True)
class Settings:
    """What the operator asks for."""

    max_gop_seconds: float = 4.0
    """Longest GOP without an alarm, in seconds."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads the settings from a JSON object. Raises `invalid` where `max_gop_seconds` is not a positive number."""
        seconds = json.loads(text).get("max_gop_seconds", cls.max_gop_seconds)
        # True and False are numbers to Python, and not to JSON.
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
            given = json.dumps(seconds)
            raise Err(Error_Invalid(f"max_gop_seconds is {given}, and must be a positive number of seconds"))
        return cls(float(seconds))
