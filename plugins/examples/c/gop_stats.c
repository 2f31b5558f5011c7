// Measures the GOPs of each video track, and raises an alarm while they are longer than `max_gop_seconds` of the settings.
//
// What every function here has to see to:
// - A borrowed handle (`borrow` in its type) is dropped with `…_drop_borrow` before the function returns, on every way out. Here that is
//   the statement after its last use. A call that returns with one is lost, and counted as a fault.
// - A string that is the argument of an export, or that an import returns, is freed with `transcoder_plugin_string_free`.
// - An own handle is dropped with `…_drop_own` once it is of no more use.

#include "gops.h"
#include "settings.h"
#include "text.h"
#include "transcoder_plugin.h"

// What the operator asked for. Set by `start`.
static settings_t settings;
// The track that is measured. An instance with the scope `track` has one track at a time.
static gops_t gops;

bool exports_millrace_plugin_about_describe(transcoder_plugin_string_t *json,
                                            exports_millrace_plugin_about_borrow_description_t about,
                                            exports_millrace_plugin_about_error_t *error) {
  transcoder_plugin_string_t hook = text("transcoder"), scope = text("track");
  transcoder_plugin_string_t summary = text("Measures GOPs, and raises an alarm while they are too long");
  bool described =
      millrace_plugin_media_method_description_want(about, &hook, MILLRACE_PLUGIN_TYPES_TRACK_KIND_VIDEO, error) &&
      millrace_plugin_media_method_description_set_scope(about, &hook, &scope, error) &&
      millrace_plugin_media_method_description_set_summary(about, &summary, error);
  millrace_plugin_media_description_drop_borrow(about);

  // Settings that are refused here never reach an instance.
  settings_t checked;
  bool done = described && settings_parse(&checked, json, error);
  transcoder_plugin_string_free(json);
  return done;
}

bool exports_millrace_plugin_transcoder_start(exports_millrace_plugin_transcoder_borrow_context_t context,
                                              exports_millrace_plugin_transcoder_error_t *error) {
  transcoder_plugin_string_t json, broadcast;
  millrace_plugin_media_method_context_settings(context, &json);
  millrace_plugin_media_method_context_broadcast(context, &broadcast);
  millrace_plugin_media_context_drop_borrow(context);

  bool done = settings_parse(&settings, &json, error);
  if (done) {
    text_log(MILLRACE_PLUGIN_LOG_LEVEL_INFO, "watching %.*s for GOPs longer than %g s", (int)broadcast.len,
             (const char *)broadcast.ptr, settings.max_gop_seconds);
  }
  transcoder_plugin_string_free(&json);
  transcoder_plugin_string_free(&broadcast);
  return done;
}

bool exports_millrace_plugin_transcoder_on_track(exports_millrace_plugin_transcoder_own_track_t track,
                                                 exports_millrace_plugin_transcoder_decision_t *decision,
                                                 exports_millrace_plugin_transcoder_error_t *error) {
  uint32_t timescale = millrace_plugin_media_method_track_timescale(millrace_plugin_media_borrow_track(track));
  millrace_plugin_media_track_drop_own(track);

  // A source that has changed comes again: its metrics are opened anew.
  gops_close(&gops);
  *decision = MILLRACE_PLUGIN_MEDIA_DECISION_ACCEPT;
  return gops_open(&gops, timescale, settings, error);
}

bool exports_millrace_plugin_transcoder_on_fragment(exports_millrace_plugin_transcoder_borrow_fragment_t fragment,
                                                    exports_millrace_plugin_transcoder_error_t *error) {
  millrace_plugin_media_info_t info;
  millrace_plugin_media_method_fragment_info(fragment, &info);
  millrace_plugin_media_fragment_drop_borrow(fragment);

  if (!gops.open) {
    error->tag = MILLRACE_PLUGIN_TYPES_ERROR_CLOSED;
    return false;
  }
  gops_add(&gops, &info);
  return true;
}

bool exports_millrace_plugin_transcoder_on_gap(exports_millrace_plugin_transcoder_borrow_loss_t loss,
                                               exports_millrace_plugin_transcoder_error_t *error) {
  (void)error;
  uint64_t skipped = millrace_plugin_media_method_loss_skipped(loss);
  transcoder_plugin_string_t cause;
  millrace_plugin_media_method_loss_cause(loss, &cause);
  millrace_plugin_media_loss_drop_borrow(loss);

  text_log(MILLRACE_PLUGIN_LOG_LEVEL_DEBUG, "%llu fragments are missing: %.*s", (unsigned long long)skipped,
           (int)cause.len, (const char *)cause.ptr);
  transcoder_plugin_string_free(&cause);
  gops_forget_group(&gops);
  return true;
}

bool exports_millrace_plugin_transcoder_on_track_end(uint32_t track, transcoder_plugin_string_t *why,
                                                     exports_millrace_plugin_transcoder_error_t *error) {
  (void)track, (void)error;
  transcoder_plugin_string_free(why);
  gops_close(&gops);
  return true;
}

bool exports_millrace_plugin_transcoder_stop(transcoder_plugin_string_t *why,
                                             exports_millrace_plugin_transcoder_error_t *error) {
  (void)error;
  transcoder_plugin_string_free(why);
  return true;
}
