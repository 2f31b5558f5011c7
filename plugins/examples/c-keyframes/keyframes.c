// A filter: passes the keyframes of the video on and discards the other frames, for a preview that takes few bits.
//
// What every function here has to see to:
// - A borrowed handle (`borrow` in its type) is dropped with `…_drop_borrow` before the function returns, on every way out.
// - A string that is the argument of an export is freed with `filter_plugin_string_free`.
// - An own handle is dropped with `…_drop_own` once it is of no more use.

#include <stdlib.h>

#include "filter_plugin.h"

// A constant as an argument of an import. The import copies it.
static filter_plugin_string_t text(const char *constant) {
  filter_plugin_string_t string;
  filter_plugin_string_set(&string, constant);
  return string;
}

bool exports_millrace_plugin_about_describe(filter_plugin_string_t *settings,
                                            exports_millrace_plugin_about_borrow_description_t about,
                                            exports_millrace_plugin_about_error_t *error) {
  filter_plugin_string_t hook = text("filter"), scope = text("track");
  filter_plugin_string_t summary = text("Passes the keyframes of the video alone");
  bool done =
      millrace_plugin_media_method_description_want(about, &hook, MILLRACE_PLUGIN_TYPES_TRACK_KIND_VIDEO, error) &&
      millrace_plugin_media_method_description_set_scope(about, &hook, &scope, error) &&
      millrace_plugin_media_method_description_set_summary(about, &summary, error);
  millrace_plugin_media_description_drop_borrow(about);
  filter_plugin_string_free(settings);
  return done;
}

bool exports_millrace_plugin_filter_start(exports_millrace_plugin_filter_borrow_context_t context,
                                          exports_millrace_plugin_filter_error_t *error) {
  (void)error;
  millrace_plugin_media_context_drop_borrow(context);
  return true;
}

bool exports_millrace_plugin_filter_on_track(exports_millrace_plugin_filter_own_track_t track,
                                             exports_millrace_plugin_filter_decision_t *decision,
                                             exports_millrace_plugin_filter_error_t *error) {
  (void)error;
  millrace_plugin_media_track_drop_own(track);
  *decision = MILLRACE_PLUGIN_MEDIA_DECISION_ACCEPT;
  return true;
}

bool exports_millrace_plugin_filter_on_fragment(exports_millrace_plugin_filter_borrow_fragment_t fragment,
                                                exports_millrace_plugin_filter_borrow_verdict_t verdict,
                                                exports_millrace_plugin_filter_error_t *error) {
  millrace_plugin_media_info_t info;
  millrace_plugin_media_method_fragment_info(fragment, &info);

  bool done = true;
  if (!(info.marks & MILLRACE_PLUGIN_MEDIA_MARKS_KEYFRAME)) {
    // The host discards the rest of the group by itself where others depend on this fragment.
    millrace_plugin_media_method_verdict_discard(verdict);
  } else {
    // The fragment may hold more than its keyframe: the samples after it go. Their time is added to the keyframe's.
    filter_plugin_list_u32_t rest;
    millrace_plugin_media_list_sample_t samples;
    millrace_plugin_media_method_fragment_samples(fragment, &samples);
    if (samples.len > 1) {
      rest.len = samples.len - 1;
      rest.ptr = malloc(rest.len * sizeof *rest.ptr);
      for (size_t i = 0; i < rest.len; i++) rest.ptr[i] = (uint32_t)(i + 1);
      millrace_plugin_media_own_fragment_t first;
      done = millrace_plugin_media_method_fragment_without_samples(fragment, &rest, &first, error) &&
             millrace_plugin_media_method_verdict_replace(verdict, first, error);
      free(rest.ptr);
    }
    millrace_plugin_media_list_sample_free(&samples);
  }
  millrace_plugin_media_fragment_drop_borrow(fragment);
  millrace_plugin_media_verdict_drop_borrow(verdict);
  return done;
}

bool exports_millrace_plugin_filter_on_gap(exports_millrace_plugin_filter_borrow_loss_t loss,
                                           exports_millrace_plugin_filter_error_t *error) {
  (void)error;
  millrace_plugin_media_loss_drop_borrow(loss);
  return true;
}

bool exports_millrace_plugin_filter_on_track_end(uint32_t track, filter_plugin_string_t *why,
                                                 exports_millrace_plugin_filter_error_t *error) {
  (void)track, (void)error;
  filter_plugin_string_free(why);
  return true;
}

bool exports_millrace_plugin_filter_stop(filter_plugin_string_t *why, exports_millrace_plugin_filter_error_t *error) {
  (void)error;
  filter_plugin_string_free(why);
  return true;
}
