// The GOPs of one track, and the metrics and the alarm made of them.
#pragma once

#include "settings.h"
#include "transcoder_plugin.h"

typedef struct {
  // Whether the metrics are open.
  bool open;
  settings_t settings;
  // Ticks per second.
  double timescale;

  // The group in progress: there is none before the first, and after a gap. Times are in ticks.
  bool in_group;
  uint64_t group;
  int64_t start, end;
  uint64_t bytes;

  bool alarm_raised;
  millrace_plugin_metrics_own_counter_t groups;
  millrace_plugin_metrics_own_gauge_t gop_seconds;
  millrace_plugin_metrics_own_gauge_t bitrate_bps;
  millrace_plugin_metrics_own_histogram_t fragment_bytes;
  millrace_plugin_metrics_own_alarm_t long_gop;
} gops_t;

// Opens the metrics of a track. Where that fails, none is open afterwards.
bool gops_open(gops_t *gops, uint32_t timescale, settings_t settings, millrace_plugin_types_error_t *error);

// Takes the next fragment of what is open. The first fragment of a group ends the group before it.
void gops_add(gops_t *gops, const millrace_plugin_media_info_t *fragment);

// Forgets the group in progress: after a gap its length is not known.
void gops_forget_group(gops_t *gops);

// Drops what is open. That takes the values of the gauges out and clears the alarm.
void gops_close(gops_t *gops);
