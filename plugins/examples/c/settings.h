// The plugin's part of the configuration.
#pragma once

#include "transcoder_plugin.h"

typedef struct {
  // Longest GOP without an alarm, in seconds.
  double max_gop_seconds;
} settings_t;

// Reads the settings from a JSON object. Fails with `invalid` where `max_gop_seconds` is not a positive number.
bool settings_parse(settings_t *settings, const transcoder_plugin_string_t *json, millrace_plugin_types_error_t *error);
