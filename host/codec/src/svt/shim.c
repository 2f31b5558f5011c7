/* Fills SVT-AV1's structures, as the installed header defines them. */
#define _GNU_SOURCE
#include "shim.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <svt-av1/EbSvtAv1Enc.h>

#if !SVT_AV1_CHECK_VERSION(1, 4, 0)
#error "SVT-AV1 1.4 or later is needed"
#endif

/* Opening and closing go through a global of the library that it does not guard. */
static pthread_mutex_t global = PTHREAD_MUTEX_INITIALIZER;

/* The library tells the world about itself on standard error, unless this variable says no. Set before main, while there is one
 * thread, since setting it is not safe beside another. */
__attribute__((constructor)) static void be_quiet(void) { setenv("SVT_LOG", "1", 0); }

/* What the library makes of threads where it runs as root, and of the one that calls it. */
#define SEIZED_POLICY SCHED_FIFO
#define SEIZED_PRIORITY 99

/* As root the library gives its threads the highest real-time priority, with which they would keep the machine from everything
 * else, the source's arrival first. Back to the common lot with them. */
static void give_priority_back(void) {
    DIR *tasks = geteuid() == 0 ? opendir("/proc/self/task") : NULL;
    if (!tasks) return;
    const struct sched_param common = {0};
    for (struct dirent *entry; (entry = readdir(tasks));) {
        pid_t task = (pid_t)atoi(entry->d_name);
        struct sched_param held;
        if (task > 0 && sched_getscheduler(task) == SEIZED_POLICY && sched_getparam(task, &held) == 0 &&
            held.sched_priority == SEIZED_PRIORITY)
            sched_setscheduler(task, SCHED_OTHER, &common);
    }
    closedir(tasks);
}

static void fill(EbSvtAv1EncConfiguration *config, const struct millrace_svt_settings *settings) {
    config->source_width = settings->width;
    config->source_height = settings->height;
    config->frame_rate_numerator = settings->rate_numerator;
    config->frame_rate_denominator = settings->rate_denominator;
    config->enc_mode = (int8_t)settings->preset;
    config->encoder_bit_depth = 8;
    config->encoder_color_format = EB_YUV420;
    config->profile = MAIN_PROFILE;
    config->level = settings->level;
    config->logical_processors = settings->threads;

    /* Every picture at once, none of them later than its successors. */
    config->pred_structure = SVT_AV1_PRED_LOW_DELAY_B;
    config->look_ahead_distance = 0;
    config->enable_overlays = 0;
    config->tune = 1;
    /* One keyframe, the first. */
    config->intra_refresh_type = SVT_AV1_KF_REFRESH;
    config->intra_period_length = 1 << 30;
    config->scene_change_detection = 0;

    if (settings->bitrate) {
        config->rate_control_mode = SVT_AV1_RC_MODE_CBR;
        config->target_bit_rate = settings->bitrate;
        config->min_qp_allowed = settings->min_quantizer;
        config->max_qp_allowed = settings->max_quantizer;
    } else {
        config->rate_control_mode = SVT_AV1_RC_MODE_CQP_OR_CRF;
        config->qp = settings->quantizer;
    }
    if (settings->described) {
        config->color_description_present_flag = 1;
        config->color_primaries = settings->primaries;
        config->transfer_characteristics = settings->transfer;
        config->matrix_coefficients = settings->matrix;
        config->color_range = settings->full_range;
    }
}

int32_t millrace_svt_open(const struct millrace_svt_settings *settings, void **encoder) {
    EbComponentType *handle = NULL;
    EbSvtAv1EncConfiguration config;
    struct sched_param param;
    int policy;
    memset(&config, 0, sizeof config);
    pthread_mutex_lock(&global);
    int known = pthread_getschedparam(pthread_self(), &policy, &param) == 0;
    int was_seized = known && policy == SEIZED_POLICY && param.sched_priority == SEIZED_PRIORITY;
    EbErrorType code = svt_av1_enc_init_handle(&handle, NULL, &config);
    if (code == EB_ErrorNone) {
        fill(&config, settings);
        code = svt_av1_enc_set_parameter(handle, &config);
        if (code == EB_ErrorNone)
            code = svt_av1_enc_init(handle); /* Where it fails for want of memory, what there is of it is left: taking it
                                              * down would wait for ever for threads that were never told to end. */
        else
            svt_av1_enc_deinit_handle(handle);
    }
    if (known) pthread_setschedparam(pthread_self(), policy, &param);
    if (!was_seized) give_priority_back();
    pthread_mutex_unlock(&global);
    *encoder = code == EB_ErrorNone ? handle : NULL;
    return (int32_t)code;
}

int32_t millrace_svt_send(void *encoder, const uint8_t *const planes[3], const uint32_t strides[3], uint32_t width,
                          uint32_t height, int64_t number) {
    EbSvtIOFormat picture;
    EbBufferHeaderType header;
    memset(&picture, 0, sizeof picture);
    memset(&header, 0, sizeof header);
    /* The library copies the samples during the call, and does not write to them. */
    picture.luma = (uint8_t *)planes[0];
    picture.cb = (uint8_t *)planes[1];
    picture.cr = (uint8_t *)planes[2];
    picture.y_stride = strides[0];
    picture.cb_stride = strides[1];
    picture.cr_stride = strides[2];
    picture.width = width;
    picture.height = height;
    picture.color_fmt = EB_YUV420;
    picture.bit_depth = EB_EIGHT_BIT;
    header.size = sizeof header;
    header.p_buffer = (uint8_t *)&picture;
    header.n_filled_len = width * height * 3 / 2;
    header.pts = number;
    header.pic_type = EB_AV1_INVALID_PICTURE;
    return (int32_t)svt_av1_enc_send_picture(encoder, &header);
}

int32_t millrace_svt_end(void *encoder) {
    EbBufferHeaderType header;
    memset(&header, 0, sizeof header);
    header.size = sizeof header;
    header.flags = EB_BUFFERFLAG_EOS;
    header.pic_type = EB_AV1_INVALID_PICTURE;
    return (int32_t)svt_av1_enc_send_picture(encoder, &header);
}

int32_t millrace_svt_receive(void *encoder, uint32_t ended, struct millrace_svt_packet *packet, uint32_t *found) {
    EbBufferHeaderType *buffer = NULL;
    EbErrorType code = svt_av1_enc_get_packet(encoder, &buffer, ended != 0);
    *found = 0;
    if (code == EB_NoErrorEmptyQueue) return 0;
    if (code != EB_ErrorNone) {
        if (buffer) svt_av1_enc_release_out_buffer(&buffer);
        return (int32_t)code;
    }
    packet->data = buffer->p_buffer;
    packet->length = buffer->n_filled_len;
    packet->number = buffer->pts;
    packet->keyframe = buffer->pic_type == EB_AV1_KEY_PICTURE;
    packet->quantizer = buffer->qp;
    packet->last = (buffer->flags & EB_BUFFERFLAG_EOS) != 0;
    packet->buffer = buffer;
    *found = 1;
    return 0;
}

void millrace_svt_release(void *buffer) {
    EbBufferHeaderType *header = buffer;
    svt_av1_enc_release_out_buffer(&header);
}

void millrace_svt_close(void *encoder) {
    pthread_mutex_lock(&global);
    svt_av1_enc_deinit(encoder);
    svt_av1_enc_deinit_handle(encoder);
    pthread_mutex_unlock(&global);
}
