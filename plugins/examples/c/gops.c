#include "gops.h"

#include <stdio.h>

#include "text.h"

static const millrace_plugin_metrics_labels_t BY =
    MILLRACE_PLUGIN_METRICS_LABELS_BROADCAST | MILLRACE_PLUGIN_METRICS_LABELS_TRACK;

// Upper bounds of the sizes of fragments, in bytes.
static double FRAGMENT_BYTES[] = {1e3, 4e3, 16e3, 64e3, 256e3, 1e6, 4e6};

bool gops_open(gops_t *gops, uint32_t timescale, settings_t settings, millrace_plugin_types_error_t *error) {
  // Handles count from 1, so that 0 stands for one that is not open.
  *gops = (gops_t){.settings = settings, .timescale = timescale};
  transcoder_plugin_string_t groups = text("groups"), gop_seconds = text("gop_seconds");
  transcoder_plugin_string_t bitrate_bps = text("bitrate_bps"), fragment_bytes = text("fragment_bytes");
  transcoder_plugin_string_t long_gop = text("long_gop");
  millrace_plugin_metrics_list_entry_t more = {0};
  transcoder_plugin_list_f64_t buckets = {FRAGMENT_BYTES, sizeof FRAGMENT_BYTES / sizeof *FRAGMENT_BYTES};
  gops->open =
      millrace_plugin_metrics_static_counter_open(&groups, BY, &more, &gops->groups, error) &&
      millrace_plugin_metrics_static_gauge_open(&gop_seconds, BY, &more, &gops->gop_seconds, error) &&
      millrace_plugin_metrics_static_gauge_open(&bitrate_bps, BY, &more, &gops->bitrate_bps, error) &&
      millrace_plugin_metrics_static_histogram_open(&fragment_bytes, BY, &more, &buckets, &gops->fragment_bytes, error) &&
      millrace_plugin_metrics_static_alarm_open(&long_gop, &gops->long_gop, error);
  if (!gops->open) {
    gops_close(gops);
  }
  return gops->open;
}

static double seconds(const gops_t *gops) { return (double)(gops->end - gops->start) / gops->timescale; }

// Counts the group in progress, which is complete.
static void count(gops_t *gops) {
  double length = seconds(gops);
  millrace_plugin_metrics_method_counter_add(millrace_plugin_metrics_borrow_counter(gops->groups), 1);
  millrace_plugin_metrics_method_gauge_set(millrace_plugin_metrics_borrow_gauge(gops->gop_seconds), length);
  if (length > 0) {
    millrace_plugin_metrics_method_gauge_set(millrace_plugin_metrics_borrow_gauge(gops->bitrate_bps),
                                             (double)gops->bytes * 8 / length);
  }
  if (length <= gops->settings.max_gop_seconds && gops->alarm_raised) {
    millrace_plugin_metrics_method_alarm_clear(millrace_plugin_metrics_borrow_alarm(gops->long_gop));
    gops->alarm_raised = false;
  }
}

static void raise_alarm(gops_t *gops) {
  char line[64];
  snprintf(line, sizeof line, "a GOP is longer than %g s", gops->settings.max_gop_seconds);
  transcoder_plugin_string_t message = text(line);
  millrace_plugin_metrics_method_alarm_raise(millrace_plugin_metrics_borrow_alarm(gops->long_gop), &message);
  gops->alarm_raised = true;
}

void gops_add(gops_t *gops, const millrace_plugin_media_info_t *fragment) {
  millrace_plugin_metrics_method_histogram_observe(millrace_plugin_metrics_borrow_histogram(gops->fragment_bytes),
                                                   fragment->size);
  if (gops->in_group && gops->group != fragment->group) {
    count(gops);
    gops->in_group = false;
  }
  if (!gops->in_group) {
    gops->in_group = true;
    gops->group = fragment->group;
    gops->start = fragment->decode_time;
    gops->bytes = 0;
  }
  gops->end = fragment->decode_time + fragment->duration;
  gops->bytes += fragment->size;
  // The alarm does not wait for the end of a group: it may never come.
  if (seconds(gops) > gops->settings.max_gop_seconds && !gops->alarm_raised) {
    raise_alarm(gops);
  }
}

void gops_forget_group(gops_t *gops) { gops->in_group = false; }

void gops_close(gops_t *gops) {
  if (gops->groups.__handle) millrace_plugin_metrics_counter_drop_own(gops->groups);
  if (gops->gop_seconds.__handle) millrace_plugin_metrics_gauge_drop_own(gops->gop_seconds);
  if (gops->bitrate_bps.__handle) millrace_plugin_metrics_gauge_drop_own(gops->bitrate_bps);
  if (gops->fragment_bytes.__handle) millrace_plugin_metrics_histogram_drop_own(gops->fragment_bytes);
  if (gops->long_gop.__handle) millrace_plugin_metrics_alarm_drop_own(gops->long_gop);
  *gops = (gops_t){0};
}
