// A filter: takes the ID3 events out of a stream before anybody sees them, those of a contribution feed for example.
//
// What every function here has to see to:
// - A borrowed handle (`borrow` in its type) is dropped with `…_drop_borrow` before the function returns, on every way out.
// - A string that is the argument of an export is freed with `filter_plugin_string_free`.
// - An own handle is dropped with `…_drop_own` once it is of no more use.

#include <string.h>

#include "filter_plugin.h"

// The scheme of the events that go (AOMedia, Carriage of ID3 Timed Metadata in CMAF).
static const char SCHEME[] = "https://aomedia.org/emsg/ID3";

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
  filter_plugin_string_t summary = text("Takes ID3 events out of a stream");
  bool done =
      millrace_plugin_media_method_description_want(about, &hook, MILLRACE_PLUGIN_TYPES_TRACK_KIND_VIDEO, error) &&
      millrace_plugin_media_method_description_want(about, &hook, MILLRACE_PLUGIN_TYPES_TRACK_KIND_AUDIO, error) &&
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
  millrace_plugin_media_list_event_t events;
  millrace_plugin_media_method_fragment_events(fragment, &events);
  bool found = false;
  for (size_t i = 0; i < events.len; i++) {
    filter_plugin_string_t *scheme = &events.ptr[i].scheme_id_uri;
    found |= scheme->len == strlen(SCHEME) && memcmp(scheme->ptr, SCHEME, scheme->len) == 0;
  }
  millrace_plugin_media_list_event_free(&events);

  // Where nothing is said to the verdict, the fragment passes as it is.
  bool done = true;
  if (found) {
    filter_plugin_string_t scheme = text(SCHEME);
    millrace_plugin_media_own_fragment_t without;
    // The copy shares its media with the original. It becomes the host's with `replace`.
    done = millrace_plugin_media_method_fragment_without_events(fragment, &scheme, &without, error) &&
           millrace_plugin_media_method_verdict_replace(verdict, without, error);
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
